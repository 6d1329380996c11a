//! Search users.

use super::unavailable;
use crate::{
    app::Queries,
    criteria::{self, BODY_LIMIT, Search},
    read_after,
    refusals::Refusals,
};
use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data, Payload},
};
use events_schema::analytics::Operation;
use service_kit::{
    analytics,
    auth::Scope,
    operation::{Call, Done, Parsed, Spec, run},
    position::LogPosition,
    problem::Problem,
};

const SPEC: Spec = Spec { operation: Operation::Search, scope: Scope::Read, body_limit: Some(BODY_LIMIT) };

struct Input {
    search: Search,
    read_after: Option<LogPosition>,
}

pub(super) async fn search(queries: Data<Queries>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let is_full = queries.frame.recorder.is_full();
    let parse = |request: &HttpRequest, body: Bytes| parse(request, &body, is_full);
    let handle = async |call: Call, input: Input| queries.search(call, input).await;
    run(&queries.frame, &SPEC, &request, payload, parse, handle).await
}

fn parse(request: &HttpRequest, body: &[u8], is_full: bool) -> Parsed<Input> {
    let mut refusals = Refusals::default();
    let (search, start) = criteria::read(body, is_full, &mut refusals);
    let read_after = refusals.sift(read_after::parse(request));
    let input = search.zip(read_after).map(|(search, read_after)| Input { search, read_after });
    Parsed { start, fail: analytics::Data::default(), input: refusals.finish(input) }
}

impl Queries {
    async fn search(&self, call: Call, input: Input) -> Result<Done, Problem> {
        read_after::wait(&self.projection, input.read_after, self.patience).await?;
        let Search { criteria, page } = &input.search;
        let page = self.reader.search(&call.context.tenant, criteria, page).await;
        page.map(|page| page.done()).map_err(|error| unavailable(&call, &error))
    }
}
