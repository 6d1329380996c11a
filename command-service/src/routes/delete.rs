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
    analytics,
    auth::Scope,
    operation::{OperationSpec, Parsed, run_to_end},
    path,
    problem::Problem,
};
use uuid::Uuid;

const SPEC: OperationSpec =
    OperationSpec { operation: Operation::Delete, scope: Scope::Write, body_limit: None };

pub(super) async fn delete(service: Data<Service>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let writer = service.writer.clone();
    let deleted = |appended| WriteResponse::deleted(&appended);
    let handle = move |call, input| change(writer, call, input, deleted);
    run_to_end(&service.context, &service.runtime, &SPEC, &request, payload, parse, handle).await
}

fn parse(request: &HttpRequest, _: Bytes) -> Parsed<Change> {
    let id = path::id(request, "id");
    let said = || id.as_ref().map_or_else(|_| analytics::Data::default(), |id| id_data(*id));
    Parsed { start: said(), fail: said(), input: id.clone().and_then(|id| input(request, id)) }
}

fn input(request: &HttpRequest, id: Uuid) -> Result<Change, Problem> {
    Ok(Change {
        id,
        command: Command::Delete,
        precondition: request_headers::precondition(request.headers())?,
        is_async: request_headers::prefers_async(request.headers()),
    })
}
