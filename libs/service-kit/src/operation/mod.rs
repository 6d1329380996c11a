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
use tokio::runtime::Handle;

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
pub struct Done<R = HttpResponse> {
    /// The answer.
    pub response: R,
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
    let Opened { call, lifecycle, input } = match open(frame, spec, request, payload, parse).await {
        Ok(opened) => opened,
        Err(problem) => return problem.response(),
    };
    let outcome = match input {
        Ok(input) => handle(call, input).await,
        Err(problem) => Err(problem),
    };
    answer(lifecycle.end(outcome))
}

/// The same for an operation that must not end halfway: once its input is read, it runs as a task of `runtime` to its end, and records
/// it, whether or not the client is still there.
pub async fn run_to_end<I, R, F>(
    frame: &Frame,
    runtime: &Handle,
    spec: &Spec,
    request: &HttpRequest,
    payload: Payload,
    parse: impl FnOnce(&HttpRequest, Bytes) -> Parsed<I>,
    handle: impl FnOnce(Call, I) -> F,
) -> HttpResponse
where
    R: Into<HttpResponse> + Send + 'static,
    F: Future<Output = Result<Done<R>, Problem>> + Send + 'static,
{
    let Opened { call, lifecycle, input } = match open(frame, spec, request, payload, parse).await {
        Ok(opened) => opened,
        Err(problem) => return problem.response(),
    };
    let work = match input {
        Ok(input) => handle(call, input),
        Err(problem) => return answer(lifecycle.end::<HttpResponse>(Err(problem))),
    };
    let task = runtime.spawn(async move { lifecycle.end(work.await) });
    // The task is gone where it panicked, which its lifecycle has recorded.
    answer(task.await.unwrap_or_else(|_| Err(Problem::internal())))
}

/// A request that passed authentication, with its START recorded.
struct Opened<I> {
    call: Call,
    lifecycle: Lifecycle,
    input: Result<I, Problem>,
}

async fn open<I>(
    frame: &Frame,
    spec: &Spec,
    request: &HttpRequest,
    payload: Payload,
    parse: impl FnOnce(&HttpRequest, Bytes) -> Parsed<I>,
) -> Result<Opened<I>, Problem> {
    let principal = frame.authenticator.authenticate(request).await?;
    let call = Call::new(request, &principal, frame.recorder.clone(), spec.operation);
    let mut lifecycle = Lifecycle::new(&call);
    let admitted = admit(spec, &principal, request, payload).await;
    let (body, refusal) = admitted.map_or_else(|problem| (Bytes::new(), Some(problem)), |body| (body, None));
    let Parsed { start, fail, input } = parse(request, body);
    lifecycle.start(start, fail);
    Ok(Opened { call, lifecycle, input: refusal.map_or(input, Err) })
}

fn answer(outcome: Result<impl Into<HttpResponse>, Problem>) -> HttpResponse {
    outcome.map_or_else(|problem| problem.response(), Into::into)
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
