//! The HTTP operations: where they are mounted, and what they share.

mod change;
mod create;
mod delete;
mod response;
mod update;

use crate::write::Writer;
use actix_web::{
    guard::{self, Guard, GuardContext},
    web::{self, Data, ServiceConfig},
};
use events_schema::personal::{AuthenticationProvider, Claims};
use serde_json::{Map, Value, json};
use service_kit::{analytics, operation::OperationContext, server::method_not_allowed};
use std::sync::Arc;
use tokio::runtime::Handle;
use uuid::Uuid;

/// What the handlers need.
pub(crate) struct Service {
    pub(crate) context: OperationContext,
    pub(crate) writer: Arc<Writer>,
    /// Where writes run. It outlives the connection and the worker that received a request.
    pub(crate) runtime: Handle,
}

/// Both prefixes lead to the same service.
const PREFIXES: [&str; 2] = ["/core/v1", "/v1"];

/// Every path of the contract with its methods, including those of the query service.
const PATHS: &[(&str, &str)] = &[
    ("/core/v1/users", "GET, POST"),
    ("/core/v1/users/search", "POST"),
    ("/core/v1/users/{id}", "GET, PUT, DELETE"),
    ("/core/v1/users/{userId}/credentials", "GET"),
    ("/v1/users", "GET, POST"),
    ("/v1/users/search", "POST"),
    ("/v1/users/{id}", "GET, PUT, DELETE"),
    ("/v1/users/{userId}/credentials", "GET"),
];

/// Mounts the operations of this service. Each route accepts only its own method, so that the query
/// service can mount the other methods on the same path.
pub(crate) fn configure(service: &Data<Service>, config: &mut ServiceConfig) {
    for prefix in PREFIXES {
        let (users, user) = (format!("{prefix}/users"), format!("{prefix}/users/{{id}}"));
        let create = web::resource(users).guard(guard::Post()).app_data(service.clone()).to(create::create);
        let update =
            web::resource(&*user).guard(on_user(guard::Put())).app_data(service.clone()).to(update::update);
        let delete = web::resource(&*user)
            .guard(on_user(guard::Delete()))
            .app_data(service.clone())
            .to(delete::delete);
        config.service(create).service(update).service(delete);
    }
}

/// Mounts 405 for the methods that no operation of the contract has. Call it after the operations
/// of both services are mounted.
pub fn fallbacks(config: &mut ServiceConfig) {
    method_not_allowed(config, PATHS);
}

/// A method on a user. `/users/search` is a separate path; `search` is not an id.
fn on_user(method: impl Guard) -> impl Guard {
    guard::fn_guard(move |context: &GuardContext<'_>| {
        method.check(context) && !context.head().uri.path().ends_with("/users/search")
    })
}

/// The data of an analytic event about a user.
fn id_data(id: Uuid) -> analytics::Data {
    analytics::Data { non_sensitive: members(json!({ "id": id })), full: Map::new() }
}

/// What analytic events contain in addition at level 3.
fn personal_data(claims: Option<&Claims>, link: Option<&AuthenticationProvider>) -> Map<String, Value> {
    let (mut full, link) = (Map::new(), link.map(|link| json!(link)));
    full.extend(claims.map(|claims| ("claims".to_owned(), Value::Object(claims.clone()))));
    full.extend(link.map(|link| ("authenticationProvider".to_owned(), link)));
    full
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests;
