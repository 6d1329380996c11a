//! The operations from a client's view while no store is available.

use crate::{App, fallbacks};
use actix_web::{
    body::to_bytes,
    http::{Method, StatusCode},
    test::{TestRequest, call_service, init_service},
};
use events_schema::analytics::Level;
use key_store::KeyCache;
use read_model::projection_position::ProjectionPosition;
use serde_json::{Value, json};
use service_kit::{
    analytics::{Events, Recorder},
    auth::{Authenticator, local_token},
    health::Health,
    settings::Settings,
};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// The service with addresses that nobody listens on, and the events that it records.
struct Bench {
    _home: tempfile::TempDir,
    app: App,
    token: String,
    events: Events,
}

/// A response.
struct Answer {
    status: StatusCode,
    allow: Option<String>,
    body: Value,
}

impl Bench {
    async fn at(level: Level) -> Self {
        let home = tempfile::tempdir().unwrap();
        let vars = [
            ("ROLLCALL_HOME", home.path().to_str().unwrap()),
            ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
            ("KAFKA_BROKERS", "127.0.0.1:1"),
            ("ROLLCALL_LOG", "off"),
        ];
        let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::from_vars(vars, "127.0.0.1:0").unwrap();
        let authenticator = Arc::new(Authenticator::new(&settings).unwrap());
        let (recorder, events) = Recorder::to_channel(level);
        let (key_cache, health) = (KeyCache::start(&settings).unwrap(), Health::default());
        let position = ProjectionPosition::start(&settings).unwrap();
        let app =
            crate::start(&settings, recorder, authenticator, &key_cache, &position, &health).await.unwrap();
        let scope = "users:read users:write";
        let token =
            local_token(&settings, &"acme".parse().unwrap(), scope, Duration::from_secs(60), None).unwrap();
        Self { _home: home, app, token, events }
    }

    async fn send(&self, method: Method, path: &str, body: &str, header: (&'static str, &str)) -> Answer {
        let app = self.app.clone();
        let mount = move |config: &mut _| {
            app.configure(config);
            fallbacks(config);
        };
        let service = init_service(actix_web::App::new().configure(mount)).await;
        let request = TestRequest::with_uri(path)
            .method(method)
            .insert_header(("Authorization", format!("Bearer {}", self.token)))
            .insert_header(("Content-Type", "application/json"))
            .append_header(header)
            .set_payload(body.to_owned());
        let response = call_service(&service, request.to_request()).await;
        let allow = response.headers().get("allow").map(|allow| allow.to_str().unwrap().to_owned());
        let status = response.status();
        let body = to_bytes(response.into_body()).await.unwrap_or_default();
        Answer { status, allow, body: serde_json::from_slice(&body).unwrap_or_default() }
    }

    async fn call(&self, method: Method, path: &str, body: &str) -> Answer {
        self.send(method, path, body, ("Accept", "*/*")).await
    }

    /// The types of the events so far.
    fn recorded(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.events.try_next()).map(|event| event.event_type.into_owned()).collect()
    }
}

#[track_caller]
fn refused(answer: &Answer, param: &str, location: &str) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
    let detail = &answer.body["details"][0];
    assert_eq!((&detail["param"], &detail["location"]), (&json!(param), &json!(location)));
}

fn user() -> String {
    format!("/core/v1/users/{}", Uuid::new_v4())
}

#[actix_web::test]
async fn what_does_not_validate_never_reaches_a_store() {
    let mut bench = Bench::at(Level::NonSensitive).await;
    refused(&bench.call(Method::POST, "/v1/users", "nope").await, "body", "body");
    refused(&bench.call(Method::POST, "/v1/users", r#"{"id":"x"}"#).await, "id", "body");
    refused(&bench.call(Method::PUT, &user(), "{}").await, "claims", "body");
    let other = format!(r#"{{"id":"{}","claims":{{}}}}"#, Uuid::new_v4());
    refused(&bench.call(Method::PUT, &user(), &other).await, "id", "body");
    refused(&bench.call(Method::PUT, "/v1/users/x", "{}").await, "id", "params");
    refused(&bench.call(Method::DELETE, "/v1/users/x", "").await, "id", "params");
    let keyed = bench.send(Method::POST, "/v1/users", "{}", ("Idempotency-Key", "a b")).await;
    refused(&keyed, "Idempotency-Key", "headers");
    refused(&bench.send(Method::DELETE, &user(), "", ("If-Match", "1")).await, "If-Match", "headers");
    let ends = bench.recorded().into_iter().filter(|name| name.ends_with("_FAIL")).count();
    assert_eq!(ends, 8);
}

#[actix_web::test]
async fn a_method_that_no_operation_has_is_405() {
    let bench = Bench::at(Level::NonSensitive).await;
    for (method, path, allow) in [
        (Method::PUT, "/core/v1/users/search", "POST"),
        (Method::DELETE, "/v1/users/search", "POST"),
        (Method::PATCH, "/v1/users", "GET, HEAD, POST"),
        (Method::POST, "/v1/users/x", "GET, HEAD, PUT, DELETE"),
        (Method::PUT, "/v1/users/x/credentials", "GET, HEAD"),
    ] {
        let answer = bench.call(method, path, "").await;
        assert_eq!((answer.status, answer.allow.as_deref()), (StatusCode::METHOD_NOT_ALLOWED, Some(allow)));
    }
}

#[actix_web::test]
async fn without_a_read_model_nothing_is_promised() {
    let mut bench = Bench::at(Level::NonSensitive).await;
    let answer = bench.call(Method::PUT, &user(), r#"{"claims":{}}"#).await;
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("ServiceUnavailable"))
    );
    assert_eq!(bench.recorded(), ["USER_UPDATE_START", "USER_UPDATE_FAIL"]);
}

#[actix_web::test]
async fn claims_are_said_at_level_3_alone() {
    let body = r#"{"claims":{"a":1},"authenticationProvider":{"subjectId":"s"}}"#;
    for level in [Level::NonSensitive, Level::Full] {
        let mut bench = Bench::at(level).await;
        bench.send(Method::POST, "/v1/users", body, ("Idempotency-Key", "a b")).await;
        let start = bench.events.next().await.unwrap();
        let said = start.data.map(Value::Object).unwrap_or_default();
        let all: Value = serde_json::from_str(body).unwrap();
        assert_eq!(said, if level == Level::Full { all } else { Value::Null });
    }
}
