//! `PUT …/users/{id}`

use super::{
    Service,
    change::{Change, change},
    id_data, personal_data,
    response::WriteResponse,
};
use crate::{representation, request_body::Object, request_headers};
use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Bytes, Data, Payload},
};
use domain::command::Command;
use events_schema::{
    analytics::Operation,
    personal::{AuthenticationProvider, Claims},
};
use service_kit::{
    auth::Scope,
    json,
    operation::{OperationSpec, Parsed, run_to_end},
    path,
    validation::ValidationErrors,
};
use uuid::Uuid;

/// Larger than the limit of a create: a client may send back the whole body of a GET, which also
/// contains the id.
const SPEC: OperationSpec = OperationSpec {
    operation: Operation::Update,
    scope: Scope::Write,
    body_limit: Some(representation::MAX_BYTES),
};

/// The body.
type Fields = (Claims, Option<AuthenticationProvider>);

pub(super) async fn update(service: Data<Service>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let is_full = service.context.recorder.records_full_data();
    let parse = |request: &HttpRequest, body: Bytes| parse(request, &body, is_full);
    let writer = service.writer.clone();
    let updated = |appended| WriteResponse::user(StatusCode::OK, appended);
    let handle = move |call, input| change(writer, call, input, updated);
    run_to_end(&service.context, &service.runtime, &SPEC, &request, payload, parse, handle).await
}

fn parse(request: &HttpRequest, body: &[u8], is_full: bool) -> Parsed<Change> {
    let mut errors = ValidationErrors::default();
    let id = errors.check(path::id(request, "id"));
    let fields = errors.check(fields(id, body));
    let precondition = errors.check(request_headers::precondition(request.headers()));
    let about = || id.map(id_data).unwrap_or_default();
    let mut start = about();
    if let (true, Some((claims, link))) = (is_full, &fields) {
        start.full = personal_data(Some(claims), link.as_ref());
    }
    let input = id.zip(fields).zip(precondition).map(|((id, (claims, link)), precondition)| Change {
        id,
        command: Command::Update { claims, link },
        precondition,
        is_async: request_headers::prefers_async(request.headers()),
    });
    Parsed { start, fail: about(), input: errors.finish(input) }
}

/// The body of a GET can be sent back, so it may contain the id of the path.
fn fields(id: Option<Uuid>, body: &[u8]) -> Result<Fields, json::Refusals> {
    let mut object = Object::parse(body, &["id", "claims", "authenticationProvider"])?;
    object.require("claims");
    if object.id("id").zip(id).is_some_and(|(given, id)| given != id) {
        object.refuse("id", "Must be the id in the path");
    }
    let (claims, link) = (object.claims(), object.link());
    object.finish()?;
    Ok((claims.unwrap_or_default(), link))
}
