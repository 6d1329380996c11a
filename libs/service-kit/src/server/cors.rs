//! Which browser origins may call the API, and how a browser is told.
//!
//! A token is only ever sent by a program that holds it, and there are no cookies. An origin that is
//! allowed therefore gains no rights, only that its own pages may read the responses.

use actix_web::{
    HttpResponse,
    http::{
        Method,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap,
            HeaderValue, ORIGIN, VARY,
        },
    },
};
use std::sync::Arc;

/// The setting's value for every origin.
const ANY: &str = "*";

/// The methods of the API.
const METHODS: &str = "GET, HEAD, POST, PUT, DELETE";
/// The request headers of the API that a page can't send without permission.
const REQUEST_HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, Read-After, \
     X-Request-Id, traceparent, tracestate";
/// The response headers of the API that a page can't read without permission.
const RESPONSE_HEADERS: &str =
    "Allow, ETag, Location, Log-Position, Preference-Applied, Retry-After, WWW-Authenticate, X-Request-Id";
/// How long a browser may remember a permission, in seconds.
const MAX_AGE: &str = "7200";

/// The allowed origins. Without any, CORS is off.
#[derive(Clone)]
pub(super) struct Cors {
    origins: Arc<[String]>,
}

impl Cors {
    pub(super) fn new(origins: &[String]) -> Self {
        Self { origins: origins.into() }
    }

    /// What `Access-Control-Allow-Origin` says to this request.
    pub(super) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN).filter(|_| !self.origins.is_empty())?;
        if self.is_any() {
            return Some(HeaderValue::from_static(ANY));
        }
        self.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
    }

    /// Adds the permission to a response.
    pub(super) fn add(&self, headers: &mut HeaderMap, allowed: Option<&HeaderValue>) {
        // A cache must not give one origin's response to another, or to none.
        if !self.origins.is_empty() && !self.is_any() {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = allowed {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(RESPONSE_HEADERS));
        }
    }

    fn is_any(&self) -> bool {
        self.origins.iter().any(|origin| origin == ANY)
    }
}

/// Whether a browser asks what a page may send.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight of an allowed origin.
pub(super) fn preflight() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((ACCESS_CONTROL_ALLOW_METHODS, METHODS))
        .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS))
        .insert_header((ACCESS_CONTROL_MAX_AGE, MAX_AGE))
        .finish()
}
