//! The service from a client's view while no store is available: requests that need none are
//! answered.

use crate::{App, fallbacks, start};
use actix_web::{
    App as ActixApp,
    body::to_bytes,
    http::{Method, StatusCode, header::HeaderMap},
    test::{TestRequest, call_service, init_service},
};
use events_schema::analytics::{AnalyticEvent, Level};
use read_model::projection_position::ProjectionPosition;
use serde_json::{Value, json};
use service_kit::{
    analytics::{Events, Recorder},
    auth::{Authenticator, local_token},
    health::Health,
    settings::Settings,
};
use std::{sync::Arc, time::Duration};

struct Bench {
    _home: tempfile::TempDir,
    settings: Settings,
    app: App,
    events: Events,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
    events: Vec<AnalyticEvent>,
}

impl Bench {
    async fn new(level: Level) -> Self {
        let home = tempfile::tempdir().unwrap();
        let vars = [
            ("ROLLCALL_HOME", home.path().to_str().unwrap()),
            // Nobody listens there.
            ("DATABASE_URL", "postgres://u@127.0.0.1:1/x"),
            ("REDIS_URL", "redis://127.0.0.1:1"),
        ];
        let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::from_vars(vars, "127.0.0.1:0").unwrap();
        let (recorder, events) = Recorder::to_channel(level);
        let authenticator = Arc::new(Authenticator::new(&settings).unwrap());
        let position = ProjectionPosition::start(&settings).unwrap();
        let app = start(&settings, recorder, authenticator, &position, &Health::default()).await.unwrap();
        Self { _home: home, settings, app, events }
    }

    fn request(&self, method: Method, path: &str) -> TestRequest {
        let tenant = "acme".parse().unwrap();
        let token =
            local_token(&self.settings, &tenant, "users:read", Duration::from_secs(60), None).unwrap();
        TestRequest::with_uri(path).method(method).insert_header(("Authorization", format!("Bearer {token}")))
    }

    async fn call(&mut self, request: TestRequest) -> Answer {
        let mount = |config: &mut actix_web::web::ServiceConfig| {
            self.app.configure(config);
            fallbacks(config);
        };
        let app = init_service(ActixApp::new().configure(mount)).await;
        let response = call_service(&app, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body()).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let events = std::iter::from_fn(|| self.events.try_next()).collect();
        Answer { status, headers, body, events }
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.call(self.request(Method::GET, path)).await
    }

    async fn search(&mut self, body: &Value) -> Answer {
        self.call(self.request(Method::POST, "/v1/users/search").set_json(body)).await
    }
}

impl Answer {
    /// The data of START, and of FAIL without its error.
    #[track_caller]
    fn failed(&self, operation: &str) -> (Value, Value) {
        let types: Vec<_> = self.events.iter().map(|event| &*event.event_type).collect();
        assert_eq!(types, [format!("{operation}_START"), format!("{operation}_FAIL")]);
        let data = |event: &AnalyticEvent| event.data.clone().map_or(json!({}), Value::Object);
        let mut fail = data(&self.events[1]);
        assert!(fail.as_object_mut().unwrap().remove("error").is_some());
        (data(&self.events[0]), fail)
    }
}

const ID: &str = "0c3fad74-a8df-4a2d-8e75-f2d356b413ba";

#[actix_web::test]
async fn no_store_is_503_and_both_events() {
    let mut bench = Bench::new(Level::NonSensitive).await;
    let answer = bench.get(&format!("/core/v1/users/{}", ID.to_uppercase())).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.body["code"], "ServiceUnavailable");
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(answer.failed("USER_RETRIEVE"), (json!({ "id": ID }), json!({ "id": ID })));
}

#[actix_web::test]
async fn start_says_what_did_validate() {
    let mut bench = Bench::new(Level::NonSensitive).await;
    let answer = bench.get("/v1/users/nobody").await;
    assert_eq!(answer.body["details"][0]["param"], "id");
    assert_eq!(answer.failed("USER_RETRIEVE"), (json!({}), json!({})));
    let answer = bench.get("/v1/users?cursor=%21").await;
    assert_eq!(answer.failed("USER_RETRIEVE_LIST"), (json!({ "limit": 100 }), json!({})));
    let answer = bench.get(&format!("/v1/users/{ID}/credentials?limit=0")).await;
    let user = json!({ "userId": ID });
    assert_eq!(answer.failed("USER_CREDENTIAL_RETRIEVE_LIST"), (user.clone(), user));
    let answer = bench.get("/v1/users/x/credentials?limit=7").await;
    assert_eq!(answer.body["details"][0]["param"], "userId");
    assert_eq!(answer.failed("USER_CREDENTIAL_RETRIEVE_LIST"), (json!({ "limit": 7 }), json!({})));
    let answer = bench.search(&json!({ "claims": { "a": "hush" }, "x": 1 })).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.failed("USER_SEARCH"), (json!({ "limit": 100, "claimKeys": ["/a"] }), json!({})));
}

#[actix_web::test]
async fn the_criteria_themselves_are_said_at_level_3_alone() {
    let criteria =
        json!({ "claims": { "a": "hush" }, "authenticationProvider": { "subjectId": "s" }, "limit": 0 });
    let mut bench = Bench::new(Level::Full).await;
    let (start, _) = bench.search(&criteria).await.failed("USER_SEARCH");
    let link = &criteria["authenticationProvider"];
    assert_eq!(
        start,
        json!({ "claimKeys": ["/a"], "claims": { "a": "hush" }, "authenticationProvider": link })
    );
    let mut bench = Bench::new(Level::Metadata).await;
    let answer = bench.search(&criteria).await;
    assert!(answer.events.len() == 2 && answer.events.iter().all(|event| event.data.is_none()));
}

#[actix_web::test]
async fn read_after_is_a_position() {
    let mut bench = Bench::new(Level::NonSensitive).await;
    for path in ["/v1/users", &format!("/v1/users/{ID}"), &format!("/v1/users/{ID}/credentials")] {
        let request = bench.request(Method::GET, path).insert_header(("Read-After", "soon"));
        let answer = bench.call(request).await;
        assert_eq!(
            (answer.status, &answer.body["details"][0]["param"]),
            (StatusCode::BAD_REQUEST, &json!("Read-After"))
        );
    }
}

#[actix_web::test]
async fn other_methods_are_told_what_is_allowed() {
    let mut bench = Bench::new(Level::NonSensitive).await;
    for root in ["/v1/users", "/core/v1/users"] {
        for (path, allow) in [
            ("", "GET, HEAD, POST"),
            ("/search", "POST"),
            (&format!("/{ID}"), "GET, HEAD, PUT, DELETE"),
            (&format!("/{ID}/credentials"), "GET, HEAD"),
        ] {
            let method = if path == "/search" { Method::GET } else { Method::PATCH };
            let answer = bench.call(bench.request(method, &format!("{root}{path}"))).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
            assert_eq!(answer.headers.get("allow").unwrap(), allow);
            assert!(answer.events.is_empty());
        }
    }
}
