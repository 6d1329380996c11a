//! The contract: OpenAPI for the HTTP operations, AsyncAPI for the topics. No token is needed. The
//! page that shows both is in `reference`.

#[cfg(test)]
mod tests;

use crate::document::Document;
use actix_web::{HttpRequest, Resource, guard, web::ServiceConfig};
use events_schema::schema::ASYNCAPI;
use service_kit::server::method_not_allowed;
use std::sync::LazyLock;

const OPENAPI: &str = include_str!("openapi.json");

/// The paths that are mounted here, with their methods.
const PATHS: &[(&str, &str)] = &[("/openapi.json", "GET"), ("/asyncapi.json", "GET")];

static DOCUMENTS: LazyLock<[(&str, Document); 2]> = LazyLock::new(|| {
    [("/openapi.json", Document::json(OPENAPI)), ("/asyncapi.json", Document::json(ASYNCAPI))]
});

/// Mounts the documents, and 405 for other methods.
pub(crate) fn mount(config: &mut ServiceConfig) {
    for (path, document) in &*DOCUMENTS {
        let handler = move |request: HttpRequest| async move { document.response(&request) };
        config.service(Resource::new(*path).guard(guard::Get()).to(handler));
    }
    method_not_allowed(config, PATHS);
}
