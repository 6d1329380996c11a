//! Retrieve all users.

use super::unavailable;
use crate::{analytic_data, page_params::PageParams, page_response::page_response, read_after, state::State};
use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use events_schema::analytics::Operation;
use service_kit::{
    analytics,
    auth::Scope,
    operation::{Call, Completed, OperationSpec, Parsed, run},
    position::LogPosition,
    problem::Problem,
    query::PageRequest,
    validation::ValidationErrors,
};

const SPEC: OperationSpec =
    OperationSpec { operation: Operation::RetrieveList, scope: Scope::Read, body_limit: None };

struct Input {
    page: PageRequest,
    read_after: Option<LogPosition>,
}

pub(super) async fn list(state: Data<State>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let handle = async |call: Call, input: Input| state.list(call, input).await;
    run(&state.context, &SPEC, &request, payload, |request, _| parse(request), handle).await
}

fn parse(request: &HttpRequest) -> Parsed<Input> {
    let mut errors = ValidationErrors::default();
    let params = PageParams::parse(request, &mut errors);
    let read_after = errors.check(read_after::parse(request));
    let mut start = analytics::Data::default();
    analytic_data::add_page_request(&mut start, params.limit, params.after.flatten());
    let input = params.page().zip(read_after).map(|(page, read_after)| Input { page, read_after });
    Parsed { start, fail: analytics::Data::default(), input: errors.finish(input) }
}

impl State {
    async fn list(&self, call: Call, input: Input) -> Result<Completed, Problem> {
        read_after::await_position(&self.projection, input.read_after, self.wait_timeout).await?;
        let page = self.reader.users(&call.context.tenant, &input.page).await;
        page.and_then(|page| page_response(&page)).map_err(|error| unavailable(&call, &error))
    }
}
