//! The frame around each operation: who, whether, what, and its two analytic events.

mod body;
mod call;
mod lifecycle;

pub use call::Call;

use crate::{
    analytics::{Data, Recorder},
    auth::{Authenticator, Principal, Scope},
    problem::{Code, Problem},
};
use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Payload},
};
use events_schema::analytics::Operation;
use lifecycle::Lifecycle;
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
/// `parse` gets the request and the body (empty where none is read, and where 403, 413 or 415 is the answer: then what it finds in
/// the path still goes into the events); `handle` the call and the parsed input.
pub async fn run<I>(
    frame: &Frame,
    spec: &Spec,
    request: &HttpRequest,
    payload: Payload,
    parse: impl FnOnce(&HttpRequest, Bytes) -> Parsed<I>,
    handle: impl AsyncFnOnce(Call, I) -> Result<Done, Problem>,
) -> HttpResponse {
    let principal = match frame.authenticator.authenticate(request).await {
        Ok(principal) => principal,
        Err(problem) => return problem.response(),
    };
    let call = Call::new(request, &principal, frame.recorder.clone(), spec.operation);
    let mut lifecycle = Lifecycle::new(&call);
    let admitted = admit(spec, &principal, request, payload).await;
    let (body, refusal) = admitted.map_or_else(|problem| (Bytes::new(), Some(problem)), |body| (body, None));
    let Parsed { start, fail, input } = parse(request, body);
    lifecycle.start(start, fail);
    let outcome = match refusal.map_or(input, Err) {
        Ok(input) => handle(call, input).await,
        Err(problem) => Err(problem),
    };
    lifecycle.end(outcome)
}

/// Scope, then body.
async fn admit(
    spec: &Spec,
    principal: &Principal,
    request: &HttpRequest,
    payload: Payload,
) -> Result<Bytes, Problem> {
    if !principal.can(spec.scope) {
        return Err(forbidden(spec.scope));
    }
    match spec.body_limit {
        Some(limit) => body::read(request, payload, limit).await,
        None => Ok(Bytes::new()),
    }
}

/// 403 with the challenge of RFC 6750.
fn forbidden(scope: Scope) -> Problem {
    let scope = scope.as_str();
    Problem::new(Code::Forbidden, format!("The token lacks the scope {scope}"))
        .header("WWW-Authenticate", format!(r#"Bearer error="insufficient_scope", scope="{scope}""#))
}

#[cfg(test)]
mod tests;
