//! Retrieve a user.

use super::unavailable;
use crate::{
    app::Queries,
    condition::{etag, is_excluded, is_held},
    events, page, read_after,
    refusals::Refusals,
    store::User,
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Payload},
};
use events_schema::{UserKey, analytics::Operation};
use service_kit::{
    auth::Scope,
    operation::{Call, Done, Parsed, Spec, run},
    path,
    position::LogPosition,
    problem::{Code, Detail, Location, Problem},
};
use uuid::Uuid;

const SPEC: Spec = Spec { operation: Operation::Retrieve, scope: Scope::Read, body_limit: None };

struct Input {
    id: Uuid,
    read_after: Option<LogPosition>,
}

pub(super) async fn get(queries: Data<Queries>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let handle = async |call: Call, input: Input| queries.get(call, input, &request).await;
    run(&queries.frame, &SPEC, &request, payload, |request, _| parse(request), handle).await
}

fn parse(request: &HttpRequest) -> Parsed<Input> {
    let mut refusals = Refusals::default();
    let id = refusals.sift(path::id(request, "id"));
    let read_after = refusals.sift(read_after::parse(request));
    let input = id.zip(read_after).map(|(id, read_after)| Input { id, read_after });
    Parsed { start: events::user("id", id), fail: events::user("id", id), input: refusals.finish(input) }
}

impl Queries {
    async fn get(&self, call: Call, input: Input, request: &HttpRequest) -> Result<Done, Problem> {
        read_after::wait(&self.projection, input.read_after, self.patience).await?;
        let key = UserKey { tenant: call.context.tenant.clone(), user: input.id };
        let found = self.reader.user(&key).await.map_err(|error| unavailable(&call, &error))?;
        let user = found.ok_or_else(|| not_found(input.id))?;
        if is_excluded(request, &etag(user.version)) {
            return Err(precondition_failed());
        }
        let mut success = events::user("id", Some(input.id));
        if call.recorder.is_full() {
            success.full = events::given([("user", serde_json::from_slice(&user.body).ok())]);
        }
        Ok(Done { response: answer(user, request), success: Some(success) })
    }
}

fn answer(user: User, request: &HttpRequest) -> HttpResponse {
    let etag = etag(user.version);
    if is_held(request, &etag) {
        return HttpResponse::NotModified()
            .insert_header((header::ETAG, etag))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish();
    }
    page::ok().insert_header((header::ETAG, etag)).body(user.body)
}

fn precondition_failed() -> Problem {
    Problem::new(Code::PreconditionFailed, "The user's present version is not what If-Match asks for")
}

/// Another tenant's user is not found either.
fn not_found(id: Uuid) -> Problem {
    Problem::new(Code::NotFound, "User not found").detail(Detail {
        value: Some(id.to_string()),
        msg: "Resource Not Found".to_owned(),
        param: "id".to_owned(),
        location: Location::Params,
    })
}
