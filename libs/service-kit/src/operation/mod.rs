//! What happens around each operation: authentication, authorization, input, and its two analytic
//! events.

mod body;
mod call;
mod lifecycle;
mod to_end;

pub use call::Call;

use crate::{
    analytics::{Data, Recorder},
    auth::{Authenticator, Principal, Scope},
    problem::{Code, Problem},
    server::log_tenant,
};
use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Payload},
};
use events_schema::analytics::Operation;
use lifecycle::Lifecycle;
use std::sync::Arc;
use to_end::ToEnd;
use tokio::runtime::Handle;

/// What an operation requires of a request before its content is examined.
#[derive(Debug, Clone, Copy)]
pub struct OperationSpec {
    /// Its analytic types.
    pub operation: Operation,
    /// The scope that the token must have.
    pub scope: Scope,
    /// The largest body in bytes. `None`: no body is read.
    pub body_limit: Option<usize>,
}

/// The result of parsing the request. START carries the valid parts.
pub struct Parsed<I> {
    /// The data of START.
    pub start: Data,
    /// The data of FAIL besides the error: the id, if a valid UUID was given.
    pub fail: Data,
    /// The operation's input.
    pub input: Result<I, Problem>,
}

/// The result of the operation.
pub struct Completed<R = HttpResponse> {
    /// The response.
    pub response: R,
    /// The data of SUCCESS. `None`: the end comes from elsewhere (the projector, or the follow-up
    /// of a 202).
    pub success: Option<Data>,
}

/// What every operation needs.
pub struct OperationContext {
    /// Verifies tokens.
    pub authenticator: Arc<Authenticator>,
    /// Records analytic events.
    pub recorder: Recorder,
}

/// Runs one operation. A request without a valid token gets 401 and no event. For every other one
/// the scope is checked, the body is read and parsed, START is recorded, and `handle` runs. The
/// first failure is the response: 403, then 413 or 415, then `parse`'s problem, then `handle`'s.
/// Records exactly one end for each START, even if the client goes away (the future is dropped) or
/// `handle` panics.
///
/// `parse` gets the request and the body. The body is empty if none is read, and if the response is
/// 403, 413 or 415; what `parse` finds in the path still goes into the events. `handle` gets the
/// call and the parsed input.
pub async fn run<I>(
    context: &OperationContext,
    spec: &OperationSpec,
    request: &HttpRequest,
    payload: Payload,
    parse: impl FnOnce(&HttpRequest, Bytes) -> Parsed<I>,
    handle: impl AsyncFnOnce(Call, I) -> Result<Completed, Problem>,
) -> HttpResponse {
    let Started { call, lifecycle, input } = match start(context, spec, request, payload, parse).await {
        Ok(started) => started,
        Err(problem) => return problem.response(),
    };
    let outcome = match input {
        Ok(input) => handle(call, input).await,
        Err(problem) => Err(problem),
    };
    answer(lifecycle.end(outcome))
}

/// Like [`run`], for an operation that must not be cancelled: once its input is read, it runs to
/// its end and records that, whether or not the client is still there: without it, it goes on as a
/// task of `runtime`.
pub async fn run_to_end<I, R, F>(
    context: &OperationContext,
    runtime: &Handle,
    spec: &OperationSpec,
    request: &HttpRequest,
    payload: Payload,
    parse: impl FnOnce(&HttpRequest, Bytes) -> Parsed<I>,
    handle: impl FnOnce(Call, I) -> F,
) -> HttpResponse
where
    R: Into<HttpResponse> + Send + 'static,
    F: Future<Output = Result<Completed<R>, Problem>> + Send + 'static,
{
    let Started { call, lifecycle, input } = match start(context, spec, request, payload, parse).await {
        Ok(started) => started,
        Err(problem) => return problem.response(),
    };
    let work = match input {
        Ok(input) => handle(call, input),
        Err(problem) => return answer(lifecycle.end::<HttpResponse>(Err(problem))),
    };
    let ended = ToEnd::new(runtime, async move { lifecycle.end(work.await) }).await;
    // After a panic there is no outcome, and the lifecycle has recorded that.
    answer(ended.unwrap_or_else(|_| Err(Problem::internal())))
}

/// A request that passed authentication and whose START is recorded.
struct Started<I> {
    call: Call,
    lifecycle: Lifecycle,
    input: Result<I, Problem>,
}

async fn start<I>(
    context: &OperationContext,
    spec: &OperationSpec,
    request: &HttpRequest,
    payload: Payload,
    parse: impl FnOnce(&HttpRequest, Bytes) -> Parsed<I>,
) -> Result<Started<I>, Problem> {
    let principal = context.authenticator.authenticate(request).await?;
    log_tenant(request, &principal.tenant);
    let call = Call::new(request, &principal, context.recorder.clone(), spec.operation);
    let mut lifecycle = Lifecycle::new(&call);
    let admitted = admit(spec, &principal, request, payload).await;
    let (body, refusal) = admitted.map_or_else(|problem| (Bytes::new(), Some(problem)), |body| (body, None));
    let Parsed { start, fail, input } = parse(request, body);
    lifecycle.start(start, fail);
    Ok(Started { call, lifecycle, input: refusal.map_or(input, Err) })
}

fn answer(outcome: Result<impl Into<HttpResponse>, Problem>) -> HttpResponse {
    outcome.map_or_else(|problem| problem.response(), Into::into)
}

/// Checks the scope, then reads the body.
async fn admit(
    spec: &OperationSpec,
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
