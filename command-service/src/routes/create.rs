//! `POST …/users`

use super::{Service, id_data, personal_data, response::WriteResponse};
use crate::{
    ids, problems,
    request_body::Object,
    request_headers,
    write::{Failure, Write, Writer, Written, resolve::DeferredOutcome},
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Bytes, Data, Payload},
};
use domain::{
    codec,
    command::{Command, User},
    decide::Refusal,
};
use events_schema::{UserKey, analytics::Operation, millis, personal::Personal};
use read_model::read::user_before_write::CreatedUser;
use service_kit::{
    analytics,
    auth::Scope,
    json,
    operation::{Call, Completed, OperationSpec, Parsed, run_to_end},
    position::LogPosition,
    problem::Problem,
    validation::ValidationErrors,
};
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

const SPEC: OperationSpec =
    OperationSpec { operation: Operation::Create, scope: Scope::Write, body_limit: Some(256 * 1024) };

/// A requested create.
struct Create {
    personal: Personal,
    idempotency_key: Option<String>,
    is_async: bool,
    /// The path of the request.
    users: String,
}

pub(super) async fn create(service: Data<Service>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let is_full = service.context.recorder.records_full_data();
    let parse = |request: &HttpRequest, body: Bytes| parse(request, &body, is_full);
    let writer = service.writer.clone();
    let handle = move |call, create| run(writer, call, create);
    run_to_end(&service.context, &service.runtime, &SPEC, &request, payload, parse, handle).await
}

fn parse(request: &HttpRequest, body: &[u8], is_full: bool) -> Parsed<Create> {
    let mut errors = ValidationErrors::default();
    let personal = errors.check(personal(body));
    let idempotency_key = errors.check(request_headers::idempotency_key(request.headers()));
    let mut start = analytics::Data::default();
    if let (true, Some(personal)) = (is_full, &personal) {
        start.full = personal_data(Some(&personal.claims), personal.authentication_provider.as_ref());
    }
    let input = personal.zip(idempotency_key).map(|(personal, idempotency_key)| Create {
        personal,
        idempotency_key,
        is_async: request_headers::prefers_async(request.headers()),
        users: request.match_pattern().unwrap_or_default(),
    });
    Parsed { start, fail: analytics::Data::default(), input: errors.finish(input) }
}

fn personal(body: &[u8]) -> Result<Personal, json::Refusals> {
    let mut object = Object::parse(body, &["claims", "authenticationProvider"])?;
    let claims = object.claims().unwrap_or_default();
    let personal = Personal { claims, authentication_provider: object.link() };
    object.finish()?;
    Ok(personal)
}

async fn run(writer: Arc<Writer>, call: Call, create: Create) -> Result<Completed<WriteResponse>, Problem> {
    let Create { personal, idempotency_key, is_async, users } = create;
    let tenant = call.context.tenant.clone();
    // A random id is new, so its user is known without a query.
    let (user, known) = match &idempotency_key {
        Some(key) => (ids::of_key(&*writer.keys.id_secret().await?, &tenant, key), None),
        None => (Uuid::new_v4(), Some(User::Unknown)),
    };
    let key = UserKey { tenant, user };
    let command = Command::Create { created_at: millis(OffsetDateTime::now_utc()), personal };
    let write = Write { key, command, precondition: None, is_async };
    let response = match writer.write(&call, &write, known).await {
        Ok(Written::Accepted(appended)) => WriteResponse::user(StatusCode::CREATED, appended),
        Ok(Written::Pending(appended, lock)) => {
            writer.follow_up(&appended, lock, deferred_outcome(call));
            WriteResponse::pending(&appended, is_async)
        }
        Err(Failure::Unconfirmed(event, problem)) => {
            writer.unconfirmed.add(*event, deferred_outcome(call));
            return Ok(Completed { response: WriteResponse::unconfirmed(problem), success: None });
        }
        Err(Failure::Refused { refusal, position }) => {
            return refused(&writer, &write, refusal, position).await;
        }
        Err(Failure::Problem(problem)) => return Err(problem),
    };
    // SUCCESS is derived from the log.
    Ok(Completed { response: response.location(format!("{users}/{user}")), success: None })
}

/// For a create that is answered before its outcome is known.
fn deferred_outcome(call: Call) -> DeferredOutcome {
    let (superseded, deleted) = (problems::superseded(), problems::deleted_since());
    DeferredOutcome { call, about: analytics::Data::default(), superseded, deleted }
}

/// Answers a refused create: the user exists already, created by the same body or by another.
async fn refused(
    writer: &Writer,
    write: &Write,
    refusal: Refusal,
    position: Option<LogPosition>,
) -> Result<Completed<WriteResponse>, Problem> {
    match refusal {
        Refusal::Exists => {}
        Refusal::Deleted | Refusal::NotFound => return Err(problems::deleted_since()),
        Refusal::Parked => return Err(problems::parked()),
        // A create has no precondition.
        Refusal::PreconditionFailed => return Err(Problem::internal()),
    }
    let created = writer.users.created(&write.key).await?.ok_or_else(problems::deleted_since)?;
    if !has_same_body(writer, write, &created).await? {
        return Err(problems::idempotency_key_reused());
    }
    let found = WriteResponse::existing(created.version, created.body);
    let response = match position {
        Some(position) => found.position(position),
        None => found,
    };
    Ok(Completed { response, success: Some(id_data(write.key.user)) })
}

/// Whether a create has the same body as the one that created the user. Without the user's key,
/// that can't be determined.
async fn has_same_body(writer: &Writer, write: &Write, created: &CreatedUser) -> Result<bool, Problem> {
    let key = writer.data_keys.get(&codec::owner(&write.key)).await?;
    let Command::Create { personal, .. } = &write.command else { return Ok(false) };
    let is_of = codec::is_creation_digest(&created.digest, personal, key.as_deref());
    if is_of || key.is_some() || created.key_id.is_none() {
        return Ok(is_of);
    }
    let is_missing = writer.is_key_missing(&write.key).await?;
    Err(if is_missing { problems::key_is_missing() } else { problems::deleted_since() })
}
