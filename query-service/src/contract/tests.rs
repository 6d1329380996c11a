//! Compares the document with the service, and checks how the documents are served.

use super::{OPENAPI, mount};
use crate::routes::CONTRACT_PATHS;
use actix_web::{
    App,
    http::{Method, StatusCode, header::HeaderMap},
    test::{TestRequest, call_service, init_service, read_body},
};
use serde_json::Value;
use std::collections::BTreeSet;

type Operations = BTreeSet<(String, String)>;

fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// The operations of the document: path, method, operation.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let items = document["paths"].as_object().unwrap().iter();
    let members = items.flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(name, value)| (path.clone(), name.to_uppercase(), value))
    });
    members.filter(|(_, name, _)| name != "PARAMETERS").collect()
}

/// The operations under a prefix, without the prefix.
fn served(prefix: &str) -> Operations {
    let paths = CONTRACT_PATHS.iter().filter_map(|(path, allow)| Some((path.strip_prefix(prefix)?, allow)));
    paths
        .flat_map(|(path, allow)| allow.split(", ").map(|method| (path.to_owned(), method.to_owned())))
        .collect()
}

/// Every value in the document, including the document.
fn values(value: &Value) -> Vec<&Value> {
    let inner: Vec<&Value> = match value {
        Value::Object(members) => members.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    std::iter::once(value).chain(inner.into_iter().flat_map(values)).collect()
}

#[test]
fn lists_exactly_what_is_served() {
    let document = document();
    let listed: Operations =
        operations(&document).into_iter().map(|(path, method, _)| (path, method)).collect();
    let unprefixed: Operations = listed
        .iter()
        .map(|(path, method)| (path.strip_prefix("/core/v1").unwrap().to_owned(), method.clone()))
        .collect();
    assert_eq!(listed.len(), 7);
    assert_eq!(unprefixed, served("/core/v1"));
    assert_eq!(unprefixed, served("/v1"));
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let references: Vec<_> =
        values(&document).into_iter().filter_map(|value| value.get("$ref")?.as_str()).collect();
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_operation_has_its_own_id() {
    let document = document();
    let operations = operations(&document);
    let ids: BTreeSet<_> = operations.iter().map(|(_, _, o)| o["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations.len());
}

#[test]
fn every_parameter_in_a_path_is_declared() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        let item = &document["paths"][&path];
        let parameters = [&item["parameters"], &operation["parameters"]];
        let declared: BTreeSet<_> = parameters
            .iter()
            .filter_map(|parameters| parameters.as_array())
            .flatten()
            .filter_map(|parameter| document.pointer(&parameter["$ref"].as_str()?[1..]))
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| format!("{{{}}}", parameter["name"].as_str().unwrap()))
            .collect();
        let named: BTreeSet<_> =
            path.split('/').filter(|part| part.starts_with('{')).map(str::to_owned).collect();
        assert_eq!(declared, named, "{method} {path}");
    }
}

async fn call(request: TestRequest) -> (StatusCode, HeaderMap, String) {
    let app = init_service(App::new().configure(mount)).await;
    let response = call_service(&app, request.to_request()).await;
    let (status, headers) = (response.status(), response.headers().clone());
    (status, headers, String::from_utf8(read_body(response).await.to_vec()).unwrap())
}

/// A header of a response.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).unwrap().to_str().unwrap()
}

#[actix_web::test]
async fn the_documents_need_no_token() {
    for path in ["/openapi.json", "/asyncapi.json"] {
        let (status, headers, body) = call(TestRequest::get().uri(path)).await;
        assert_eq!((status, text(&headers, "content-type")), (StatusCode::OK, "application/json"));
        assert!(serde_json::from_str::<Value>(&body).unwrap().is_object());
    }
}

#[actix_web::test]
async fn other_methods_are_not_allowed() {
    for path in ["/openapi.json", "/asyncapi.json"] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let (status, headers, _) = call(TestRequest::with_uri(path).method(method)).await;
            assert_eq!((status, text(&headers, "allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
        }
    }
}
