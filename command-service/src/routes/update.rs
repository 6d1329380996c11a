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
    analytics,
    auth::Scope,
    json,
    operation::{OperationSpec, Parsed, run_to_end},
    path,
    problem::Problem,
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
    let id = match path::id(request, "id") {
        Ok(id) => id,
        Err(problem) => {
            let nothing = analytics::Data::default;
            return Parsed { start: nothing(), fail: nothing(), input: Err(problem) };
        }
    };
    let fields = fields(id, body).map_err(Problem::from);
    let mut start = id_data(id);
    if let (true, Ok((claims, link))) = (is_full, &fields) {
        start.full = personal_data(Some(claims), link.as_ref());
    }
    Parsed { start, fail: id_data(id), input: fields.and_then(|fields| input(request, id, fields)) }
}

/// The body of a GET can be sent back, so it may contain the id of the path.
fn fields(id: Uuid, body: &[u8]) -> Result<Fields, json::Refusal> {
    let mut object = Object::parse(body, &["id", "claims", "authenticationProvider"])?;
    if object.id("id")?.is_some_and(|given| given != id) {
        return Err(object.refuse("id", "Must be the id in the path"));
    }
    let claims = object.claims()?.ok_or_else(|| object.refuse("claims", "Is required"))?;
    Ok((claims, object.link()?))
}

fn input(request: &HttpRequest, id: Uuid, (claims, link): Fields) -> Result<Change, Problem> {
    Ok(Change {
        id,
        command: Command::Update { claims, link },
        precondition: request_headers::precondition(request.headers())?,
        is_async: request_headers::prefers_async(request.headers()),
    })
}
