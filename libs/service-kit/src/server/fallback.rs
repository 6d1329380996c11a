//! Responses to requests that no operation handles.

use crate::problem::{Code, Problem};
use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{self, ServiceConfig},
};

/// For each path, mounts a 405 with `Allow` for the methods that no operation handles. Mount it
/// after the operations, which guard their method on their resource
/// (`web::resource(path).guard(guard::Get())`).
pub fn method_not_allowed(config: &mut ServiceConfig, paths: &'static [(&'static str, &'static str)]) {
    for (path, allow) in paths {
        let refuse = move || async move { refusal(allow) };
        config.service(web::resource(*path).to(refuse));
    }
}

/// 404 for every path that is not mounted.
pub(super) async fn not_found() -> HttpResponse {
    Problem::new(Code::NotFound, "Not Found").response()
}

/// The problem that replaces an error of the framework, whose own text is not shown.
pub(super) fn problem_for(status: StatusCode) -> Problem {
    match status {
        StatusCode::NOT_FOUND => Problem::new(Code::NotFound, "Not Found"),
        StatusCode::METHOD_NOT_ALLOWED => Problem::new(Code::MethodNotAllowed, "Method Not Allowed"),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Code::PayloadTooLarge, "Payload Too Large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Problem::new(Code::UnsupportedMediaType, "Unsupported Media Type")
        }
        status if status.is_client_error() => Problem::new(Code::BadRequest, "Bad Request"),
        _ => Problem::internal(),
    }
}

fn refusal(allow: &str) -> HttpResponse {
    // HEAD is answered wherever GET is.
    let allow = allow.replace("GET", "GET, HEAD");
    Problem::new(Code::MethodNotAllowed, "Method Not Allowed").header("Allow", allow).response()
}
