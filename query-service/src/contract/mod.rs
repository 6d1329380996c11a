//! The contract: OpenAPI for the HTTP operations, AsyncAPI for the topics, JSON Schemas of the
//! events. No token is needed. The page that shows them is in `reference`.

mod asyncapi;
#[cfg(test)]
mod tests;

use crate::document::Document;
use actix_web::{
    HttpRequest, HttpResponse, Resource, guard,
    web::{Path, ServiceConfig},
};
use events_schema::schema;
use service_kit::{
    problem::{Code, Problem},
    server::method_not_allowed,
    settings::Settings,
};
use std::{collections::BTreeMap, sync::Arc};

const OPENAPI: &str = include_str!("openapi.json");

/// The paths that are mounted here, with their methods.
const PATHS: &[(&str, &str)] = &[("/openapi.json", "GET"), ("/asyncapi.json", "GET"), (SCHEMA, "GET")];
const SCHEMA: &str = "/schemas/{name}.json";

/// The documents of this instance. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Contract(Arc<Documents>);

struct Documents {
    by_path: Vec<(&'static str, Document)>,
    schemas: BTreeMap<String, Document>,
}

impl Contract {
    pub(crate) fn new(settings: &Settings) -> Self {
        let by_path = vec![
            ("/openapi.json", Document::json(OPENAPI)),
            ("/asyncapi.json", Document::json(asyncapi::text(settings))),
        ];
        let schemas = schema::all()
            .into_iter()
            .map(|(name, schema)| (name, Document::json_schema(format!("{schema:#}\n"))));
        Self(Arc::new(Documents { by_path, schemas: schemas.collect() }))
    }

    /// Mounts the documents, and 405 for other methods.
    pub(crate) fn mount(&self, config: &mut ServiceConfig) {
        for (index, (path, _)) in self.0.by_path.iter().enumerate() {
            let documents = self.0.clone();
            let handler = move |request: HttpRequest| {
                let response = documents.by_path[index].1.response(&request);
                async move { response }
            };
            config.service(Resource::new(*path).guard(guard::Get()).to(handler));
        }
        let documents = self.0.clone();
        let handler = move |request: HttpRequest, name: Path<String>| {
            let response = documents.schema(&request, &name);
            async move { response }
        };
        config.service(Resource::new(SCHEMA).guard(guard::Get()).to(handler));
        method_not_allowed(config, PATHS);
    }
}

impl Documents {
    fn schema(&self, request: &HttpRequest, name: &str) -> HttpResponse {
        let not_found = || Problem::new(Code::NotFound, "Not Found").response();
        self.schemas.get(name).map_or_else(not_found, |schema| schema.response(request))
    }
}
