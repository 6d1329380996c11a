//! `DELETE …/users/{id}`

use super::{
    Service,
    change::{Change, change},
    id_data,
    response::WriteResponse,
};
use crate::request_headers;
use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data, Payload},
};
use domain::command::Command;
use events_schema::analytics::Operation;
use service_kit::{
    auth::Scope,
    operation::{OperationSpec, Parsed, run_to_end},
    path,
    validation::ValidationErrors,
};

const SPEC: OperationSpec =
    OperationSpec { operation: Operation::Delete, scope: Scope::Write, body_limit: None };

pub(super) async fn delete(service: Data<Service>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let writer = service.writer.clone();
    let deleted = |appended| WriteResponse::deleted(&appended);
    let handle = move |call, input| change(writer, call, input, deleted);
    run_to_end(&service.context, &service.runtime, &SPEC, &request, payload, parse, handle).await
}

fn parse(request: &HttpRequest, _: Bytes) -> Parsed<Change> {
    let mut errors = ValidationErrors::default();
    let id = errors.check(path::id(request, "id"));
    let precondition = errors.check(request_headers::precondition(request.headers()));
    let about = || id.map(id_data).unwrap_or_default();
    let input = id.zip(precondition).map(|(id, precondition)| Change {
        id,
        command: Command::Delete,
        precondition,
        is_async: request_headers::prefers_async(request.headers()),
    });
    Parsed { start: about(), fail: about(), input: errors.finish(input) }
}
