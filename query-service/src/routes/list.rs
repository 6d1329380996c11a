//! Retrieve all users.

use super::unavailable;
use crate::{app::Queries, events, page::Asked, read_after, refusals::Refusals};
use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use events_schema::analytics::Operation;
use service_kit::{
    analytics,
    auth::Scope,
    operation::{Call, Done, Parsed, Spec, run},
    position::LogPosition,
    problem::Problem,
    query::PageRequest,
};

const SPEC: Spec = Spec { operation: Operation::RetrieveList, scope: Scope::Read, body_limit: None };

struct Input {
    page: PageRequest,
    read_after: Option<LogPosition>,
}

pub(super) async fn list(queries: Data<Queries>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let handle = async |call: Call, input: Input| queries.list(call, input).await;
    run(&queries.frame, &SPEC, &request, payload, |request, _| parse(request), handle).await
}

fn parse(request: &HttpRequest) -> Parsed<Input> {
    let mut refusals = Refusals::default();
    let asked = Asked::of(request, &mut refusals);
    let read_after = refusals.sift(read_after::parse(request));
    let mut start = analytics::Data::default();
    events::page(&mut start, asked.limit, asked.after.flatten());
    let input = asked.page().zip(read_after).map(|(page, read_after)| Input { page, read_after });
    Parsed { start, fail: analytics::Data::default(), input: refusals.finish(input) }
}

impl Queries {
    async fn list(&self, call: Call, input: Input) -> Result<Done, Problem> {
        read_after::wait(&self.projection, input.read_after, self.patience).await?;
        let page = self.reader.users(&call.context.tenant, &input.page).await;
        page.map(|page| page.done()).map_err(|error| unavailable(&call, &error))
    }
}
