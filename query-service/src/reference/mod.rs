//! The page that shows the contract: `/docs`. Its viewer is Scalar, from `vendor/scalar`, and
//! everything it loads comes from this service.

#[cfg(test)]
mod tests;

use crate::document::{Document, NO_CONTENT};
use actix_web::{HttpRequest, HttpResponse, Resource, guard, http::header::LOCATION, web::ServiceConfig};
use service_kit::server::method_not_allowed;
use std::sync::LazyLock;

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");
const VIEWER: &[u8] = include_bytes!("../../vendor/scalar/standalone.js.gz");

/// Only scripts of this service run, and no text becomes code. The viewer styles itself with inline
/// styles: see docs/adr/0010.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
     img-src 'self' data:; font-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The paths that are mounted here, with their methods.
const PATHS: &[(&str, &str)] = &[
    ("/", "GET"),
    ("/docs", "GET"),
    ("/docs/", "GET"),
    ("/docs/page.js", "GET"),
    ("/docs/scalar.js", "GET"),
];

static DOCUMENTS: LazyLock<[(&str, Document); 3]> = LazyLock::new(|| {
    [
        ("/docs", Document::new("text/html; charset=utf-8", POLICY, PAGE.as_bytes())),
        ("/docs/page.js", Document::new("text/javascript; charset=utf-8", NO_CONTENT, SCRIPT.as_bytes())),
        ("/docs/scalar.js", Document::gzip("text/javascript; charset=utf-8", VIEWER)),
    ]
});

/// Mounts the page, what leads to it, and 405 for other methods.
pub(crate) fn mount(config: &mut ServiceConfig) {
    for (path, document) in &*DOCUMENTS {
        let handler = move |request: HttpRequest| async move { document.response(&request) };
        config.service(Resource::new(*path).guard(guard::Get()).to(handler));
    }
    for path in ["/", "/docs/"] {
        config.service(Resource::new(path).guard(guard::Get()).to(to_page));
    }
    method_not_allowed(config, PATHS);
}

async fn to_page() -> HttpResponse {
    HttpResponse::Found().insert_header((LOCATION, "/docs")).finish()
}
