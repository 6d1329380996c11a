//! A document as it is served: fixed bytes with their tag.

use crate::condition::is_held;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS},
    web::Bytes,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

/// Nothing of a JSON document is to be run or shown by others.
const NO_CONTENT: &str = "default-src 'none'; frame-ancestors 'none'";

/// A document that changes with the program alone.
pub(super) struct Document {
    content_type: &'static str,
    policy: String,
    etag: String,
    body: Bytes,
}

impl Document {
    /// A document in JSON.
    pub(super) fn json(text: &'static str) -> Self {
        Self::of("application/json", NO_CONTENT.to_owned(), Bytes::from_static(text.as_bytes()))
    }

    /// A page, with the policy that holds for it.
    pub(super) fn html(text: String, policy: String) -> Self {
        Self::of("text/html; charset=utf-8", policy, text.into())
    }

    fn of(content_type: &'static str, policy: String, body: Bytes) -> Self {
        let etag = format!("\"{}\"", digest(&body));
        Self { content_type, policy, etag, body }
    }

    /// 200, or 304 where the client has it already. It is kept, but asked for each time: another version may be running.
    pub(super) fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let is_held = is_held(request, &self.etag);
        let mut answer = if is_held { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        answer.insert_header((ETAG, &*self.etag)).insert_header((CACHE_CONTROL, "no-cache"));
        if is_held {
            return answer.finish();
        }
        answer
            .insert_header((CONTENT_TYPE, self.content_type))
            .insert_header((CONTENT_SECURITY_POLICY, &*self.policy))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .body(self.body.clone())
    }
}

/// SHA-256 in base64, as policies and tags have it.
pub(super) fn digest(bytes: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(bytes))
}
