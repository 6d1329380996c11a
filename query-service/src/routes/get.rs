//! Retrieve a user.

use super::unavailable;
use crate::{
    analytic_data,
    conditional::{etag, fails_if_match, is_not_modified},
    page_response::json_ok,
    read_after,
    state::State,
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Payload},
};
use events_schema::{UserKey, analytics::Operation};
use read_model::read::users::User;
use service_kit::{
    auth::Scope,
    operation::{Call, Completed, OperationSpec, Parsed, run},
    path,
    position::LogPosition,
    problem::{Code, Detail, Location, Problem},
    validation::ValidationErrors,
};
use uuid::Uuid;

const SPEC: OperationSpec =
    OperationSpec { operation: Operation::Retrieve, scope: Scope::Read, body_limit: None };

struct Input {
    id: Uuid,
    read_after: Option<LogPosition>,
}

pub(super) async fn get(state: Data<State>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let handle = async |call: Call, input: Input| state.get(call, input, &request).await;
    run(&state.context, &SPEC, &request, payload, |request, _| parse(request), handle).await
}

fn parse(request: &HttpRequest) -> Parsed<Input> {
    let mut errors = ValidationErrors::default();
    let id = errors.check(path::id(request, "id"));
    let read_after = errors.check(read_after::parse(request));
    let input = id.zip(read_after).map(|(id, read_after)| Input { id, read_after });
    Parsed {
        start: analytic_data::user_id("id", id),
        fail: analytic_data::user_id("id", id),
        input: errors.finish(input),
    }
}

impl State {
    async fn get(&self, call: Call, input: Input, request: &HttpRequest) -> Result<Completed, Problem> {
        read_after::await_position(&self.projection, input.read_after, self.wait_timeout).await?;
        let key = UserKey { tenant: call.context.tenant.clone(), user: input.id };
        let found = self.reader.user(&key).await.map_err(|error| unavailable(&call, &error))?;
        let user = found.ok_or_else(|| not_found(input.id))?;
        if fails_if_match(request, &etag(user.version)) {
            return Err(precondition_failed());
        }
        let mut success = analytic_data::user_id("id", Some(input.id));
        if call.recorder.records_full_data() {
            success.full = analytic_data::present([("user", serde_json::from_slice(&user.body).ok())]);
        }
        Ok(Completed { response: response(user, request), success: Some(success) })
    }
}

fn response(user: User, request: &HttpRequest) -> HttpResponse {
    let etag = etag(user.version);
    if is_not_modified(request, &etag) {
        return HttpResponse::NotModified()
            .insert_header((header::ETAG, etag))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish();
    }
    json_ok().insert_header((header::ETAG, etag)).body(user.body)
}

fn precondition_failed() -> Problem {
    Problem::new(Code::PreconditionFailed, "The user's current version does not match If-Match")
}

/// Users of other tenants are not found either.
fn not_found(id: Uuid) -> Problem {
    Problem::new(Code::NotFound, "User not found").detail(Detail {
        value: Some(id.to_string()),
        msg: "Resource Not Found".to_owned(),
        param: "id".to_owned(),
        location: Location::Params,
    })
}
