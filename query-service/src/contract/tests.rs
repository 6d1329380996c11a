//! Compares the document with the service, and checks how the documents are served.

mod compatible;
#[path = "../../../events-schema/tests/compatible/mod.rs"]
mod schemas;

use super::{Contract, OPENAPI};
use crate::routes::CONTRACT_PATHS;
use actix_web::{
    App,
    http::{Method, StatusCode, header::HeaderMap},
    test::{TestRequest, call_service, init_service, read_body},
};
use serde_json::Value;
use service_kit::{problem::Code, settings::Settings};
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
    let settings = Settings::from_vars([], "127.0.0.1:0").unwrap();
    let contract = Contract::new(&settings);
    let app = init_service(App::new().configure(|config| contract.mount(config))).await;
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
async fn each_schema_is_found_by_the_name_in_its_id() {
    for (name, schema) in events_schema::schema::all() {
        assert_eq!(schema["$id"], format!("urn:rollcall:schema:{name}"));
        let (status, headers, body) = call(TestRequest::get().uri(&format!("/schemas/{name}.json"))).await;
        assert_eq!((status, text(&headers, "content-type")), (StatusCode::OK, "application/schema+json"));
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), schema);
    }
    for unknown in
        ["/schemas/x.json", "/schemas/.json", "/schemas/..%2Fopenapi.json", "/schemas/user.created.v1"]
    {
        assert_eq!(call(TestRequest::get().uri(unknown)).await.0, StatusCode::NOT_FOUND, "{unknown}");
    }
}

/// What a reader of the page, or of a generated client, sees beside a name.
#[test]
fn everything_is_described() {
    let document = document();
    let components = document["components"].as_object().unwrap();
    let parts = ["schemas", "parameters", "headers", "responses", "securitySchemes"];
    let named = parts.iter().flat_map(|part| components[*part].as_object().unwrap());
    let fields =
        values(&document).into_iter().filter_map(|value| value.get("properties")?.as_object()).flatten();
    for (name, value) in named.chain(fields).filter(|(_, value)| !value["example"].is_array()) {
        assert!(value["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}: {value}");
    }
}

#[test]
fn every_response_with_a_body_has_one_example() {
    let document = document();
    let responses = values(&document).into_iter().filter_map(|value| value.get("responses")?.as_object());
    for (status, response) in responses.flatten().filter(|(_, response)| response.get("content").is_some()) {
        let media = &response["content"]["application/json"];
        assert!(media["example"].is_object() && media.get("examples").is_none(), "{status}: {response}");
    }
}

#[test]
fn the_catalogue_explains_every_code() {
    let document = document();
    let about = document["info"]["description"].as_str().unwrap();
    let codes = document["components"]["schemas"]["Error"]["properties"]["code"]["enum"].as_array().unwrap();
    let served: BTreeSet<_> =
        Code::ALL.iter().map(|code| serde_json::to_value(code).unwrap().to_string()).collect();
    assert_eq!(codes.iter().map(Value::to_string).collect::<BTreeSet<_>>(), served);
    for code in Code::ALL {
        let heading = format!("### {code:?}\n\n{}. ", code.status().as_u16());
        let (_, text) = about.split_once(&heading).unwrap();
        let text = text.split("###").next().unwrap();
        assert!(text.contains("*What to do:* "), "{code:?}");
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
