use super::*;
use crate::{analytics::Events, auth::local_token, settings::Settings};
use actix_web::{
    App,
    body::to_bytes,
    http::{StatusCode, header::HeaderMap},
    test::{TestRequest, call_service, init_service},
    web::{self, Data as AppData},
};
use events_schema::analytics::{AnalyticEvent, Level};
use serde_json::{Value, json};
use std::time::Duration;

const SPEC: OperationSpec =
    OperationSpec { operation: Operation::Update, scope: Scope::Write, body_limit: Some(64) };

/// The local pair's home, the context under test, and the recorded events.
struct Bench {
    _home: tempfile::TempDir,
    settings: Settings,
    context: AppData<OperationContext>,
    events: Events,
}

fn data(value: Value) -> Data {
    Data { non_sensitive: value.as_object().cloned().unwrap_or_default(), ..Data::default() }
}

/// Echoes a body of at most seven bytes; `panic`, `wait` and `later` do what they say.
async fn handler(context: AppData<OperationContext>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let parse = |_: &HttpRequest, body: Bytes| Parsed {
        start: data(json!({"id": "u"})),
        fail: data(json!({"id": "u"})),
        input: match body.len() {
            0..=7 => Ok(body),
            _ => Err(Problem::invalid(None, "too long", "", crate::problem::Location::Body)),
        },
    };
    let handle = async |_: Call, body: Bytes| match &body[..] {
        b"panic" => panic!("as told"),
        b"wait" => std::future::pending().await,
        b"later" => Ok(Completed { response: HttpResponse::Accepted().finish(), success: None }),
        _ => {
            Ok(Completed { response: HttpResponse::Ok().body(body), success: Some(data(json!({"id": "u"}))) })
        }
    };
    run(&context, &SPEC, &request, payload, parse, handle).await
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let vars = [("ROLLCALL_HOME".to_owned(), home.path().to_str().unwrap().to_owned())];
        let settings = Settings::from_vars(vars, "127.0.0.1:0").unwrap();
        let (recorder, events) = Recorder::to_channel(Level::NonSensitive);
        let authenticator = Arc::new(Authenticator::new(&settings).unwrap());
        Self {
            _home: home,
            settings,
            context: AppData::new(OperationContext { authenticator, recorder }),
            events,
        }
    }

    fn request(&self, scope: &str) -> TestRequest {
        let tenant = "acme".parse().unwrap();
        let token = local_token(&self.settings, &tenant, scope, Duration::from_secs(60), None).unwrap();
        TestRequest::put()
            .uri("/")
            .peer_addr("127.0.0.9:1".parse().unwrap())
            .insert_header(("Authorization", format!("Bearer {token}")))
            .insert_header(("Content-Type", "application/json"))
    }

    async fn call(&self, request: TestRequest) -> (StatusCode, HeaderMap, Bytes) {
        let app = App::new().app_data(self.context.clone()).default_service(web::to(handler));
        let response = call_service(&init_service(app).await, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, to_bytes(response.into_body()).await.unwrap())
    }

    fn recorded(&mut self) -> Vec<AnalyticEvent> {
        std::iter::from_fn(|| self.events.try_next()).collect()
    }

    /// Expects START, then FAIL with that error.
    #[track_caller]
    fn assert_failed(&mut self, error_type: &str) {
        let events = self.recorded();
        let types: Vec<&str> = events.iter().map(|event| &*event.event_type).collect();
        assert_eq!(types, ["USER_UPDATE_START", "USER_UPDATE_FAIL"]);
        assert_eq!(events[0].request_id, events[1].request_id);
        let fail = events[1].data.as_ref().unwrap();
        assert_eq!(fail["error"]["type"], error_type);
        assert!(fail["error"]["message"].is_string());
    }
}

#[actix_web::test]
async fn an_accepted_request_has_a_start_and_a_success() {
    let mut bench = Bench::new();
    let (status, _, body) = bench.call(bench.request("users:write").set_payload("ok")).await;
    assert_eq!((status, &body[..]), (StatusCode::OK, &b"ok"[..]));
    let events = bench.recorded();
    let types: Vec<&str> = events.iter().map(|event| &*event.event_type).collect();
    assert_eq!(types, ["USER_UPDATE_START", "USER_UPDATE_SUCCESS"]);
    assert_eq!(events[0].request_ip.as_deref(), Some("127.0.0.9"));
    assert_eq!(events[1].data, json!({"id": "u"}).as_object().cloned());
}

#[actix_web::test]
async fn an_end_may_come_from_elsewhere() {
    let mut bench = Bench::new();
    bench.call(bench.request("users:write").set_payload("later")).await;
    assert_eq!(bench.recorded().len(), 1);
}

#[actix_web::test]
async fn who_is_not_known_leaves_no_event() {
    let mut bench = Bench::new();
    let (status, headers, _) = bench.call(TestRequest::put().uri("/")).await;
    assert_eq!(
        (status, headers.get("WWW-Authenticate").unwrap().as_bytes()),
        (StatusCode::UNAUTHORIZED, &b"Bearer"[..])
    );
    assert!(bench.recorded().is_empty());
}

#[actix_web::test]
async fn a_missing_scope_is_named() {
    let mut bench = Bench::new();
    let large = "x".repeat(65);
    let (status, headers, body) = bench.call(bench.request("users:read").set_payload(large)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let challenge = headers.get("WWW-Authenticate").unwrap().to_str().unwrap();
    assert_eq!(challenge, r#"Bearer error="insufficient_scope", scope="users:write""#);
    assert!(std::str::from_utf8(&body).unwrap().contains("users:write"));
    bench.assert_failed("Forbidden");
}

#[actix_web::test]
async fn a_body_over_the_limit_is_refused_declared_or_not() {
    let mut bench = Bench::new();
    for declared in [false, true] {
        let mut request = bench.request("users:write").set_payload("x".repeat(65));
        if declared {
            request = request.insert_header(("Content-Length", "65"));
        }
        let (status, _, body) = bench.call(request).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(std::str::from_utf8(&body).unwrap().contains("64 bytes"));
        bench.assert_failed("PayloadTooLarge");
    }
}

#[actix_web::test]
async fn a_body_is_plain_json_or_refused() {
    let mut bench = Bench::new();
    for (name, value) in [("Content-Type", "text/plain"), ("Content-Encoding", "gzip")] {
        let request = bench.request("users:write").insert_header((name, value)).set_payload("ok");
        assert_eq!(bench.call(request).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        bench.assert_failed("UnsupportedMediaType");
    }
    let request =
        bench.request("users:write").insert_header(("Content-Encoding", "identity")).set_payload("ok");
    assert_eq!(bench.call(request).await.0, StatusCode::OK);
}

#[actix_web::test]
async fn what_does_not_parse_fails_with_its_id() {
    let mut bench = Bench::new();
    let (status, _, _) = bench.call(bench.request("users:write").set_payload("12345678")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let fail = bench.recorded().pop().unwrap().data.unwrap();
    assert_eq!(
        Value::Object(fail),
        json!({"id": "u", "error": {"type": "BadRequest", "message": "Validation Error"}})
    );
}

#[actix_web::test]
async fn a_client_that_goes_away_has_its_end() {
    let mut bench = Bench::new();
    let call = bench.call(bench.request("users:write").set_payload("wait"));
    // Polled until it blocks, then dropped.
    assert!(futures_util::FutureExt::now_or_never(call).is_none());
    bench.assert_failed("ClientClosedRequest");
}

#[actix_web::test]
async fn a_panic_has_its_end() {
    let mut bench = Bench::new();
    let context = bench.context.clone();
    let (request, mut payload) = bench.request("users:write").set_payload("panic").to_http_parts();
    let payload = <Payload as actix_web::FromRequest>::from_request(&request, &mut payload).await.unwrap();
    let panicked =
        tokio::task::spawn_local(async move { handler(context, request, payload).await.status() }).await;
    assert!(panicked.is_err());
    bench.assert_failed("InternalServerError");
}

#[actix_web::test]
async fn what_must_not_end_halfway_outlives_its_client() {
    let mut bench = Bench::new();
    let (go_on, told) = tokio::sync::oneshot::channel::<()>();
    let (request, mut payload) = bench.request("users:write").set_payload("ok").to_http_parts();
    let payload = <Payload as actix_web::FromRequest>::from_request(&request, &mut payload).await.unwrap();
    let parse =
        |_: &HttpRequest, _: Bytes| Parsed { start: Data::default(), fail: Data::default(), input: Ok(()) };
    let handle = |_: Call, (): ()| async {
        let _ = told.await;
        Ok(Completed { response: Plain, success: Some(data(json!({"id": "u"}))) })
    };
    let runtime = Handle::current();
    let mut call = Box::pin(run_to_end(&bench.context, &runtime, &SPEC, &request, payload, parse, handle));
    assert!(futures_util::FutureExt::now_or_never(&mut call).is_none());
    drop(call);
    go_on.send(()).unwrap();
    let mut types = Vec::new();
    for _ in 0..2 {
        types.push(bench.events.next().await.unwrap().event_type);
    }
    assert_eq!(types, ["USER_UPDATE_START", "USER_UPDATE_SUCCESS"]);
    assert!(bench.recorded().is_empty());
}

/// A response that can be sent between threads.
struct Plain;

impl From<Plain> for HttpResponse {
    fn from(Plain: Plain) -> Self {
        HttpResponse::Ok().finish()
    }
}
