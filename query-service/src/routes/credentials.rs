//! Retrieve all user credentials data.

use super::unavailable;
use crate::{app::Queries, events, page::Asked, read_after, refusals::Refusals};
use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use events_schema::analytics::Operation;
use service_kit::{
    auth::Scope,
    operation::{Call, Done, Parsed, Spec, run},
    path,
    position::LogPosition,
    problem::Problem,
    query::PageRequest,
};
use uuid::Uuid;

const SPEC: Spec =
    Spec { operation: Operation::CredentialRetrieveList, scope: Scope::Read, body_limit: None };

struct Input {
    user: Uuid,
    page: PageRequest,
    read_after: Option<LogPosition>,
}

pub(super) async fn credentials(
    queries: Data<Queries>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let handle = async |call: Call, input: Input| queries.credentials(call, input).await;
    run(&queries.frame, &SPEC, &request, payload, |request, _| parse(request), handle).await
}

fn parse(request: &HttpRequest) -> Parsed<Input> {
    let mut refusals = Refusals::default();
    let user = refusals.sift(path::id(request, "userId"));
    let asked = Asked::of(request, &mut refusals);
    let read_after = refusals.sift(read_after::parse(request));
    let mut start = events::user("userId", user);
    events::page(&mut start, asked.limit, asked.after.flatten());
    let input = user.zip(asked.page()).zip(read_after);
    let input = input.map(|((user, page), read_after)| Input { user, page, read_after });
    Parsed { start, fail: events::user("userId", user), input: refusals.finish(input) }
}

impl Queries {
    async fn credentials(&self, call: Call, input: Input) -> Result<Done, Problem> {
        read_after::wait(&self.projection, input.read_after, self.patience).await?;
        let page = self.reader.credentials(&call.context.tenant, input.user, &input.page).await;
        page.map(|page| page.done()).map_err(|error| unavailable(&call, &error))
    }
}
