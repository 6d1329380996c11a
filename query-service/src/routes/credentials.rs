//! Retrieve all user credentials data.

use super::unavailable;
use crate::{analytic_data, page_params::PageParams, page_response::page_response, read_after, state::State};
use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use events_schema::analytics::Operation;
use service_kit::{
    auth::Scope,
    operation::{Call, Completed, OperationSpec, Parsed, run},
    path,
    position::LogPosition,
    problem::Problem,
    query::PageRequest,
    validation::ValidationErrors,
};
use uuid::Uuid;

const SPEC: OperationSpec =
    OperationSpec { operation: Operation::CredentialRetrieveList, scope: Scope::Read, body_limit: None };

struct Input {
    user: Uuid,
    page: PageRequest,
    read_after: Option<LogPosition>,
}

pub(super) async fn credentials(state: Data<State>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let handle = async |call: Call, input: Input| state.credentials(call, input).await;
    run(&state.context, &SPEC, &request, payload, |request, _| parse(request), handle).await
}

fn parse(request: &HttpRequest) -> Parsed<Input> {
    let mut errors = ValidationErrors::default();
    let user = errors.check(path::id(request, "userId"));
    let params = PageParams::parse(request, &mut errors);
    let read_after = errors.check(read_after::parse(request));
    let mut start = analytic_data::user_id("userId", user);
    analytic_data::add_page_request(&mut start, params.limit, params.after.flatten());
    let input = user.zip(params.page()).zip(read_after);
    let input = input.map(|((user, page), read_after)| Input { user, page, read_after });
    Parsed { start, fail: analytic_data::user_id("userId", user), input: errors.finish(input) }
}

impl State {
    async fn credentials(&self, call: Call, input: Input) -> Result<Completed, Problem> {
        read_after::await_position(&self.projection, input.read_after, self.wait_timeout).await?;
        let page = self.reader.credentials(&call.context.tenant, input.user, &input.page).await;
        page.and_then(|page| page_response(&page)).map_err(|error| unavailable(&call, &error))
    }
}
