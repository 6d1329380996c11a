//! The contract: OpenAPI for the HTTP operations, AsyncAPI for the topics, and a page to read and
//! try the operations. No token is needed.

mod document;
mod page;
#[cfg(test)]
mod tests;

use actix_web::{HttpRequest, Resource, guard, web::ServiceConfig};
use document::Document;
use events_schema::schema::ASYNCAPI;
use service_kit::server::method_not_allowed;
use std::sync::LazyLock;

const OPENAPI: &str = include_str!("openapi.json");

/// The paths that are mounted here, with their methods.
const PATHS: &[(&str, &str)] = &[("/openapi.json", "GET"), ("/asyncapi.json", "GET"), ("/docs", "GET")];

static DOCUMENTS: LazyLock<[(&str, Document); 3]> = LazyLock::new(|| {
    [
        ("/openapi.json", Document::json(OPENAPI)),
        ("/asyncapi.json", Document::json(ASYNCAPI)),
        ("/docs", page::page()),
    ]
});

/// Mounts the documents, and 405 for other methods.
pub(crate) fn mount(config: &mut ServiceConfig) {
    for (path, document) in &*DOCUMENTS {
        let handler = move |request: HttpRequest| async move { document.response(&request) };
        config.service(Resource::new(*path).guard(guard::Get()).to(handler));
    }
    method_not_allowed(config, PATHS);
}
