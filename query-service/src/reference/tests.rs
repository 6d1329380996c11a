//! How the page is served. `tests/suite/reference_page.rs` opens it in a browser.

use super::mount;
use actix_web::{
    App,
    http::{Method, StatusCode, header::HeaderMap},
    test::{TestRequest, call_service, init_service, read_body},
    web::Bytes,
};

async fn call(request: TestRequest) -> (StatusCode, HeaderMap, Bytes) {
    let app = init_service(App::new().configure(mount)).await;
    let response = call_service(&app, request.to_request()).await;
    let (status, headers) = (response.status(), response.headers().clone());
    (status, headers, read_body(response).await)
}

async fn page() -> (StatusCode, HeaderMap, String) {
    let (status, headers, body) = call(TestRequest::get().uri("/docs")).await;
    (status, headers, String::from_utf8(body.to_vec()).unwrap())
}

/// A header of a response.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).unwrap().to_str().unwrap()
}

#[actix_web::test]
async fn only_scripts_of_this_service_run() {
    let (status, headers, body) = page().await;
    assert_eq!((status, text(&headers, "content-type")), (StatusCode::OK, "text/html; charset=utf-8"));
    let policy = text(&headers, "content-security-policy");
    let of = |name: &str| policy.split("; ").find_map(|part| part.strip_prefix(name)).unwrap();
    assert_eq!((of("default-src "), of("script-src "), of("connect-src ")), ("'none'", "'self'", "'self'"));
    assert!(!policy.contains("unsafe-eval") && !policy.contains("http:") && !policy.contains("https:"));
    assert_eq!(body.matches("<script").count(), body.matches("<script src=\"/docs/").count());
    assert!(!body.contains("http://") && !body.contains("https://"));
}

#[actix_web::test]
async fn every_part_of_the_page_is_served() {
    let (_, _, body) = page().await;
    let paths: Vec<_> = body.split("src=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(paths.len(), 2);
    for path in paths {
        let (status, headers, body) = call(TestRequest::get().uri(path)).await;
        assert_eq!(
            (status, text(&headers, "content-type")),
            (StatusCode::OK, "text/javascript; charset=utf-8")
        );
        let is_gzip = headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip");
        assert_eq!(is_gzip, body.starts_with(&[0x1f, 0x8b]), "{path}");
    }
}

#[actix_web::test]
async fn other_paths_lead_to_the_page() {
    for path in ["/", "/docs/"] {
        let (status, headers, _) = call(TestRequest::get().uri(path)).await;
        assert_eq!((status, text(&headers, "location")), (StatusCode::FOUND, "/docs"));
    }
}

#[actix_web::test]
async fn what_the_client_has_is_not_sent_again() {
    let (_, headers, _) = page().await;
    let held = TestRequest::get().uri("/docs").insert_header(("If-None-Match", text(&headers, "etag")));
    let (status, _, body) = call(held).await;
    assert_eq!((status, &*body), (StatusCode::NOT_MODIFIED, &b""[..]));
}

#[actix_web::test]
async fn other_methods_are_not_allowed() {
    for path in ["/", "/docs", "/docs/", "/docs/scalar.js"] {
        let (status, headers, _) = call(TestRequest::with_uri(path).method(Method::POST)).await;
        assert_eq!((status, text(&headers, "allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
    }
}
