//! A static document with its entity tag.

use crate::conditional::is_not_modified;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS},
    web::Bytes,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

/// The policy for JSON: nothing in it may run, and no other site may frame it.
const NO_CONTENT: &str = "default-src 'none'; frame-ancestors 'none'";

/// A document that only changes with the program.
pub(super) struct Document {
    content_type: &'static str,
    policy: String,
    etag: String,
    body: Bytes,
}

impl Document {
    /// A JSON document.
    pub(super) fn json(text: &'static str) -> Self {
        Self::new("application/json", NO_CONTENT.to_owned(), Bytes::from_static(text.as_bytes()))
    }

    /// An HTML page with its content security policy.
    pub(super) fn html(text: String, policy: String) -> Self {
        Self::new("text/html; charset=utf-8", policy, text.into())
    }

    fn new(content_type: &'static str, policy: String, body: Bytes) -> Self {
        let etag = format!("\"{}\"", digest(&body));
        Self { content_type, policy, etag, body }
    }

    /// 200, or 304 if the client has this version. Clients may store it but must revalidate, since
    /// another release may be running.
    pub(super) fn response(&self, request: &HttpRequest) -> HttpResponse {
        let is_not_modified = is_not_modified(request, &self.etag);
        let mut response = if is_not_modified { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response.insert_header((ETAG, &*self.etag)).insert_header((CACHE_CONTROL, "no-cache"));
        if is_not_modified {
            return response.finish();
        }
        response
            .insert_header((CONTENT_TYPE, self.content_type))
            .insert_header((CONTENT_SECURITY_POLICY, &*self.policy))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .body(self.body.clone())
    }
}

/// SHA-256 in base64, as content security policies use it.
pub(super) fn digest(bytes: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(bytes))
}
