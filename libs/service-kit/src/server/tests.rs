//! The server from a client's view.

use super::*;
use actix_web::{HttpRequest, HttpResponse, guard};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// A server on its own port.
struct Running {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
    client: Client,
}

/// The origin that may call.
const ORIGIN: &str = "https://app.example";

const PATHS: &[(&str, &str)] = &[("/users/{id}", "GET, DELETE")];

fn operations(config: &mut ServiceConfig) {
    async fn show(request: HttpRequest, id: web::Path<String>) -> HttpResponse {
        let request_id = crate::request_id::RequestId::of(&request);
        HttpResponse::Ok().json(json!({"id": *id, "requestId": request_id.as_str()}))
    }
    async fn fail() -> HttpResponse {
        panic!("as a bug would")
    }
    async fn count(_: web::Path<u32>) -> HttpResponse {
        HttpResponse::Ok().finish()
    }
    config
        .service(web::resource("/users/{id}").guard(guard::Get()).to(show))
        .service(web::resource("/users/{id}").guard(guard::Delete()).to(fail))
        .service(web::resource("/counts/{n}").to(count));
    method_not_allowed(config, PATHS);
}

impl Running {
    fn start() -> Self {
        let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let stopped = async { stopped.await.unwrap_or_default() };
        let task =
            tokio::spawn(serve(listener, Health::default(), &[ORIGIN.to_owned()], operations, stopped));
        Self { url, stop: Some(stop), task, client: Client::new() }
    }

    async fn call(&self, method: Method, path: &str) -> Response {
        self.client.request(method, format!("{}{path}", self.url)).send().await.unwrap()
    }

    async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

#[track_caller]
fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).unwrap().to_str().unwrap()
}

async fn problem(response: Response) -> (u16, Value) {
    assert!(!header(&response, "x-request-id").is_empty());
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn what_no_operation_takes_is_answered_in_the_same_shape() {
    let server = Running::start();
    let not_found = (404, json!({"code": "NotFound", "message": "Not Found"}));
    assert_eq!(problem(server.call(Method::GET, "/nowhere").await).await, not_found);
    assert_eq!(problem(server.call(Method::GET, "/counts/many").await).await, not_found);
    for method in [Method::PUT, Method::OPTIONS, Method::from_bytes(b"BREW").unwrap()] {
        let response = server.call(method, "/users/7").await;
        assert_eq!(header(&response, "allow"), "GET, HEAD, DELETE");
        let refused = (405, json!({"code": "MethodNotAllowed", "message": "Method Not Allowed"}));
        assert_eq!(problem(response).await, refused);
    }
    assert_eq!(server.call(Method::POST, "/metrics").await.status(), 405);
    server.stop().await;
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_connection_lives() {
    let server = Running::start();
    let internal = (500, json!({"code": "InternalServerError", "message": "Internal Server Error"}));
    assert_eq!(problem(server.call(Method::DELETE, "/users/7").await).await, internal);
    assert_eq!(server.call(Method::GET, "/users/7").await.status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_a_repeated_one_is_not() {
    let server = Running::start();
    let get = || server.client.get(format!("{}/users/7", server.url)).header("x-request-id", "abc-1");
    let response = get().send().await.unwrap();
    assert_eq!(header(&response, "x-request-id"), "abc-1");
    assert_eq!(response.json::<Value>().await.unwrap()["requestId"], "abc-1");
    let response = get().header("x-request-id", "abc-2").send().await.unwrap();
    let made = header(&response, "x-request-id").to_owned();
    assert!(uuid::Uuid::parse_str(&made).is_ok());
    assert_eq!(response.json::<Value>().await.unwrap()["requestId"], *made);
    server.stop().await;
}

#[tokio::test]
async fn requests_are_counted_by_route_template() {
    let server = Running::start();
    server.call(Method::GET, "/users/counted").await;
    server.call(Method::GET, "/nowhere/counted").await;
    let response = server.call(Method::GET, "/metrics").await;
    assert_eq!(header(&response, "content-type"), "text/plain; version=0.0.4");
    let text = response.text().await.unwrap();
    let count =
        |labels: &str| text.contains(&format!("rollcall_http_request_duration_seconds_count{{{labels}}}"));
    assert!(count(r#"method="GET",route="/users/{id}",status="200""#), "{text}");
    assert!(count(r#"method="GET",route="unmatched",status="404""#), "{text}");
    assert!(text.contains("process_resident_memory_bytes") && !text.contains("counted"));
    server.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_refused_by_the_name_of_its_setting() {
    let taken = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let error = bind(taken.local_addr().unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("ROLLCALL_ADDR: "), "{error}");
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = Running::start();
    let got = server.call(Method::GET, "/users/7").await;
    let head = server.call(Method::HEAD, "/users/7").await;
    assert_eq!((head.status().as_u16(), header(&head, "content-type")), (200, "application/json"));
    assert!(header(&head, "content-length").parse::<usize>().unwrap() > 0);
    assert_eq!(got.text().await.unwrap().len().min(1), 1);
    assert_eq!(head.text().await.unwrap(), "");
    // The connection is not confused by it.
    assert_eq!(server.call(Method::HEAD, "/metrics").await.status(), 200);
    assert_eq!(server.call(Method::HEAD, "/nowhere").await.status(), 404);
    assert_eq!(server.call(Method::GET, "/users/7").await.json::<Value>().await.unwrap()["id"], "7");
    server.stop().await;
}

impl Running {
    async fn call_from(&self, origin: &str, method: Method, path: &str) -> Response {
        let request = self.client.request(method, format!("{}{path}", self.url)).header("Origin", origin);
        request.header("Access-Control-Request-Method", "PUT").send().await.unwrap()
    }
}

#[tokio::test]
async fn an_allowed_origin_may_call() {
    let server = Running::start();
    let asked = server.call_from(ORIGIN, Method::OPTIONS, "/users/7").await;
    assert_eq!((asked.status().as_u16(), header(&asked, "access-control-allow-origin")), (204, ORIGIN));
    assert!(header(&asked, "access-control-allow-methods").contains("PUT"));
    assert!(header(&asked, "access-control-allow-headers").contains("Authorization"));
    assert!(!header(&asked, "x-request-id").is_empty());
    for (method, path, status) in [
        (Method::GET, "/users/7", 200),
        (Method::GET, "/nowhere", 404),
        (Method::PATCH, "/users/7", 405),
        (Method::DELETE, "/users/7", 500),
    ] {
        let answer = server.call_from(ORIGIN, method, path).await;
        assert_eq!(
            (answer.status().as_u16(), header(&answer, "access-control-allow-origin")),
            (status, ORIGIN)
        );
        assert!(header(&answer, "access-control-expose-headers").contains("ETag"));
        assert_eq!(header(&answer, "vary"), "Origin");
    }
    server.stop().await;
}

#[tokio::test]
async fn another_origin_gets_no_permission() {
    let server = Running::start();
    for origin in ["https://other.example", "https://app.example.evil.example", "null", "http://app.example"]
    {
        let asked = server.call_from(origin, Method::OPTIONS, "/users/7").await;
        let answer = server.call_from(origin, Method::GET, "/users/7").await;
        assert_eq!((asked.status().as_u16(), answer.status().as_u16()), (405, 200));
        for response in [asked, answer] {
            assert!(response.headers().get("access-control-allow-origin").is_none(), "{origin}");
            assert_eq!(header(&response, "vary"), "Origin");
        }
    }
    server.stop().await;
}

#[test]
fn cors_is_off_without_origins_and_open_with_a_star() {
    let mut headers = actix_web::http::header::HeaderMap::new();
    headers.insert(actix_web::http::header::ORIGIN, "https://app.example".try_into().unwrap());
    assert_eq!(Cors::new(&[]).allowed(&headers), None);
    assert_eq!(Cors::new(&["*".to_owned()]).allowed(&headers).unwrap(), "*");
}
