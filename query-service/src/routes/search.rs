//! Search users.

use super::unavailable;
use crate::{
    page_response::page_response,
    read_after,
    search_request::{self, BODY_LIMIT, SearchRequest},
    state::State,
    store::SearchError,
};
use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data, Payload},
};
use events_schema::analytics::Operation;
use service_kit::{
    analytics,
    auth::Scope,
    operation::{Call, Completed, OperationSpec, Parsed, run},
    position::LogPosition,
    problem::Problem,
    validation::ValidationErrors,
};

const SPEC: OperationSpec =
    OperationSpec { operation: Operation::Search, scope: Scope::Read, body_limit: Some(BODY_LIMIT) };

const BUSY: &str = "Too many searches of this tenant are running. Wait, or send fewer at once";

struct Input {
    search: SearchRequest,
    read_after: Option<LogPosition>,
}

pub(super) async fn search(state: Data<State>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let is_full = state.context.recorder.records_full_data();
    let parse = |request: &HttpRequest, body: Bytes| parse(request, &body, is_full);
    let handle = async |call: Call, input: Input| state.search(call, input).await;
    run(&state.context, &SPEC, &request, payload, parse, handle).await
}

fn parse(request: &HttpRequest, body: &[u8], is_full: bool) -> Parsed<Input> {
    let mut errors = ValidationErrors::default();
    let (search, start) = search_request::read(body, is_full, &mut errors);
    let read_after = errors.check(read_after::parse(request));
    let input = search.zip(read_after).map(|(search, read_after)| Input { search, read_after });
    Parsed { start, fail: analytics::Data::default(), input: errors.finish(input) }
}

impl State {
    async fn search(&self, call: Call, input: Input) -> Result<Completed, Problem> {
        read_after::await_position(&self.projection, input.read_after, self.wait_timeout).await?;
        let SearchRequest { criteria, page } = &input.search;
        match self.reader.search(&call.context.tenant, criteria, page).await {
            Ok(page) => page_response(&page).map_err(|error| unavailable(&call, &error)),
            Err(SearchError::Database(error)) => Err(unavailable(&call, &error)),
            Err(SearchError::Busy) => Err(Problem::unavailable(BUSY, 1)),
        }
    }
}
