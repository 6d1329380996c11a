//! A static document with its entity tag.

use crate::conditional::is_not_modified;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{
        CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS,
    },
    web::Bytes,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

/// The policy of a document that is not a page: nothing in it may run, and no other site may frame
/// it.
pub(crate) const NO_CONTENT: &str = "default-src 'none'; frame-ancestors 'none'";

/// A document that only changes with the program.
pub(crate) struct Document {
    content_type: &'static str,
    is_gzip: bool,
    policy: &'static str,
    etag: String,
    body: Bytes,
}

impl Document {
    /// A JSON document.
    pub(crate) fn json(text: impl Into<Bytes>) -> Self {
        Self::new("application/json", NO_CONTENT, text)
    }

    /// A JSON Schema.
    pub(crate) fn json_schema(text: String) -> Self {
        Self::new("application/schema+json", NO_CONTENT, text)
    }

    /// A document with its content security policy.
    pub(crate) fn new(content_type: &'static str, policy: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let etag = format!("\"{}\"", STANDARD.encode(Sha256::digest(&body)));
        Self { content_type, is_gzip: false, policy, etag, body }
    }

    /// A document that is stored compressed, and sent so to every client: all browsers read it.
    pub(crate) fn gzip(content_type: &'static str, body: &'static [u8]) -> Self {
        Self { is_gzip: true, ..Self::new(content_type, NO_CONTENT, body) }
    }

    /// 200, or 304 if the client has this version. Clients may store it but must revalidate, since
    /// another release may be running.
    pub(crate) fn response(&self, request: &HttpRequest) -> HttpResponse {
        let is_not_modified = is_not_modified(request, &self.etag);
        let mut response = if is_not_modified { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response.insert_header((ETAG, &*self.etag)).insert_header((CACHE_CONTROL, "no-cache"));
        if is_not_modified {
            return response.finish();
        }
        if self.is_gzip {
            response.insert_header((CONTENT_ENCODING, "gzip"));
        }
        response
            .insert_header((CONTENT_TYPE, self.content_type))
            .insert_header((CONTENT_SECURITY_POLICY, self.policy))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .body(self.body.clone())
    }
}
