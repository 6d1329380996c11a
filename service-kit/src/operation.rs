//! The frame around each operation: who, whether, what, and its two analytic events.
// STUB: helper S2.

use crate::{analytics::{Context, Data, Recorder}, auth::{Authenticator, Scope}, problem::Problem};
use actix_web::{HttpRequest, HttpResponse, web::{Bytes, Payload}};
use events_schema::analytics::Operation;
use std::sync::Arc;

/// What an operation asks of a request before it is looked into.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Its analytic types.
    pub operation: Operation,
    /// What the token must allow.
    pub scope: Scope,
    /// The largest body in bytes; `None`: no body is read.
    pub body_limit: Option<usize>,
}

/// What became of reading the request. START carries what did validate.
pub struct Parsed<I> {
    /// START's data.
    pub start: Data,
    /// FAIL's data beside the error: the id, where one was given and is a uuid.
    pub fail: Data,
    /// The operation's input.
    pub input: Result<I, Problem>,
}

/// What became of the operation.
pub struct Done {
    /// The answer.
    pub response: HttpResponse,
    /// SUCCESS's data; `None`: its end comes from elsewhere (the log, or whoever follows a 202 up).
    pub success: Option<Data>,
}

/// The request as an operation sees it.
#[derive(Clone)]
pub struct Call {
    /// Tenant, client, request id.
    pub context: Context,
    /// `traceparent`, if it is well-formed.
    pub traceparent: Option<String>,
    /// For ends that come later than the answer.
    pub recorder: Recorder,
    /// What the operation is, for the same.
    pub operation: Operation,
}

/// What every operation needs; in actix's `app_data` as `web::Data<Frame>`.
pub struct Frame {
    /// Verifies tokens.
    pub authenticator: Arc<Authenticator>,
    /// Takes analytic events.
    pub recorder: Recorder,
}

/// Runs one operation: 401 (no event), then START, then 403, 413 and 415, then `parse`'s problem, then `handle`'s. Exactly one end for
/// each START, also when the client goes away (the future is dropped) or `handle` panics.
///
/// `parse` gets the request and the body (empty where none is read); `handle` the call and the parsed input.
pub async fn run<I>(
    _frame: &Frame,
    _spec: &Spec,
    _request: &HttpRequest,
    _payload: Payload,
    _parse: impl FnOnce(&HttpRequest, Bytes) -> Parsed<I>,
    _handle: impl AsyncFnOnce(Call, I) -> Result<Done, Problem>,
) -> HttpResponse {
    unimplemented!()
}
