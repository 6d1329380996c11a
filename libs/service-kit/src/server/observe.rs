//! Wraps every request: its id, its log line, its metrics, and a response even if the code
//! panicked.

use super::{
    cors::{self, Cors},
    fallback::problem_for,
};
use crate::{
    metrics,
    problem::Problem,
    request_id::{HEADER, RequestId},
    trace_context::TraceParent,
};
use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::{BodySize, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{
        Method,
        header::{HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
};
use events_schema::TenantId;
use futures_util::FutureExt as _;
use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

const REQUEST_ID: HeaderName = HeaderName::from_static(HEADER);

/// The tenant of a request, for its log line.
struct LoggedTenant(TenantId);

/// Adds the tenant to the request's log line.
pub fn log_tenant(request: &HttpRequest, tenant: &TenantId) {
    request.extensions_mut().insert(LoggedTenant(tenant.clone()));
}

/// What the log line, the metrics and the headers of the response say about a request.
struct Observed {
    method: &'static str,
    id: String,
    trace: TraceParent,
    began: Instant,
    cors: Cors,
    /// The origin that may read the response.
    allowed: Option<HeaderValue>,
}

pub(super) async fn observe<B: MessageBody + 'static>(
    cors: Cors,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let id = request_id(request.headers());
    let trace = TraceParent::from_headers_or_new(request.headers());
    let observed = Observed {
        method: method(request.method()),
        id: id.as_str().to_owned(),
        trace: trace.clone(),
        began: Instant::now(),
        allowed: cors.allowed(request.headers()),
        cors,
    };
    request.extensions_mut().insert(id);
    request.extensions_mut().insert(trace);
    if observed.allowed.is_some() && cors::is_preflight(request.method(), request.headers()) {
        return Ok(observed.responded(request.into_response(cors::preflight()).map_into_right_body()));
    }
    head_as_get(&mut request);
    match AssertUnwindSafe(async { next.call(request).await }).catch_unwind().await {
        Ok(Ok(response)) => Ok(observed.responded(as_problem(response))),
        Ok(Err(error)) => Err(observed.failed(error)),
        Err(_) => Err(observed.failed(Problem::internal().into())),
    }
}

/// Whatever has a GET answers HEAD. The connection remembers the method that was sent, and leaves
/// the body out.
fn head_as_get(request: &mut ServiceRequest) {
    if request.method() == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
}

impl Observed {
    fn responded<B: MessageBody>(self, mut response: ServiceResponse<B>) -> ServiceResponse<B> {
        self.add_headers(response.headers_mut());
        let request = response.request();
        let pattern = request.match_pattern();
        let size = match response.response().body().size() {
            BodySize::Sized(size) => Some(size),
            BodySize::None => Some(0),
            BodySize::Stream => None,
        };
        let extensions = request.extensions();
        let tenant = extensions.get::<LoggedTenant>().map(|tenant| tenant.0.as_str());
        self.report(pattern.as_deref().unwrap_or("unmatched"), response.status().as_u16(), size, tenant);
        drop(extensions);
        response
    }

    /// The request and its route are gone here, so the error carries the response.
    fn failed(self, error: Error) -> Error {
        let status = error.as_response_error().status_code();
        let problem = error.as_error::<Problem>().cloned().unwrap_or_else(|| problem_for(status));
        self.report("failed", problem.code.status().as_u16(), None, None);
        let mut response = problem.response();
        self.add_headers(response.headers_mut());
        InternalError::from_response(problem, response).into()
    }

    /// The headers that every response has, however it came about.
    fn add_headers(&self, headers: &mut HeaderMap) {
        // Every well-formed id is a valid header value.
        if let Ok(id) = HeaderValue::from_str(&self.id) {
            headers.insert(REQUEST_ID, id);
        }
        self.cors.add(headers, self.allowed.as_ref());
    }

    /// The canonical log line. Path and query are left out: they may identify a user.
    fn report(&self, route: &str, status: u16, bytes: Option<u64>, tenant: Option<&str>) {
        let (method, took) = (self.method, self.began.elapsed());
        metrics::http::observe(route, method, status, took);
        let duration_ms = millis(took);
        tracing::info!(
            target: "http", method, route, status, duration_ms, bytes, tenant, request_id = self.id,
            traceparent = self.trace.as_str(), "request"
        );
    }
}

/// Replaces an error of the framework (such as an undecodable path) by one in the API's format.
fn as_problem<B: MessageBody + 'static>(response: ServiceResponse<B>) -> ServiceResponse<EitherBody<B>> {
    let is_foreign = response.response().error().is_some_and(|error| error.as_error::<Problem>().is_none());
    if !is_foreign {
        return response.map_into_left_body();
    }
    let problem = problem_for(response.status()).response();
    response.into_response(problem.map_into_right_body())
}

/// The request's id: the given one if it is well-formed, else a new one. A repeated header is
/// treated like a malformed one.
fn request_id(headers: &HeaderMap) -> RequestId {
    let mut given = headers.get_all(REQUEST_ID);
    let only = given.next().filter(|_| given.next().is_none());
    RequestId::from_given_or_new(only.and_then(|value| value.to_str().ok()))
}

/// A closed list, since anyone can invent methods.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

/// Milliseconds, to the microsecond.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}
