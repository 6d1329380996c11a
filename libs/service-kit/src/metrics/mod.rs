//! `/metrics`: the default registry of the `prometheus` crate, as Prometheus text.
//!
//! A crate that counts something registers its own `LazyLock<IntCounter>` with
//! `prometheus::register_*!` beside the code that counts.

pub(crate) mod http;

use crate::problem::Problem;
use actix_web::{
    HttpResponse, guard,
    http::header,
    web::{self, ServiceConfig},
};
use prometheus::TextEncoder;

/// Mounts `/metrics`.
pub(crate) fn mount(config: &mut ServiceConfig) {
    config.service(web::resource("/metrics").guard(guard::Get()).to(metrics));
}

async fn metrics() -> HttpResponse {
    match TextEncoder::new().encode_to_string(&prometheus::gather()) {
        Ok(text) => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, prometheus::TEXT_FORMAT))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(text),
        Err(error) => {
            tracing::error!(%error, "the metrics can't be encoded");
            Problem::internal().response()
        }
    }
}
