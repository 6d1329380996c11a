//! The four operations and their paths.

mod credentials;
mod get;
mod list;
mod search;

use crate::{state::State, store::describe_redacted};
use actix_web::{
    Resource, guard,
    web::{Data, ServiceConfig},
};
use service_kit::{operation::Call, problem::Problem, server::method_not_allowed};

/// Every path exists under both.
const ROOTS: [&str; 2] = ["/core/v1/users", "/v1/users"];

/// Every path of the contract with all its methods, whichever service handles them.
pub(crate) const CONTRACT_PATHS: &[(&str, &str)] = &[
    ("/core/v1/users", "GET, POST"),
    ("/core/v1/users/search", "POST"),
    ("/core/v1/users/{id}", "GET, PUT, DELETE"),
    ("/core/v1/users/{userId}/credentials", "GET"),
    ("/v1/users", "GET, POST"),
    ("/v1/users/search", "POST"),
    ("/v1/users/{id}", "GET, PUT, DELETE"),
    ("/v1/users/{userId}/credentials", "GET"),
];

/// Mounts the operations. Each resource guards its method, so that another service can mount the
/// same path with another method.
pub(crate) fn mount(config: &mut ServiceConfig, state: &Data<State>) {
    for root in ROOTS {
        let at = |path: &str| Resource::new(format!("{root}{path}")).app_data(state.clone());
        config
            .service(at("").guard(guard::Get()).to(list::list))
            .service(at("/search").guard(guard::Post()).to(search::search))
            .service(at("/{id}").guard(guard::Get()).guard(guard::fn_guard(is_not_search)).to(get::get))
            .service(at("/{userId}/credentials").guard(guard::Get()).to(credentials::credentials));
    }
}

/// Mounts 405 with `Allow` for every path of the contract. Call it after the operations are
/// mounted.
pub fn fallbacks(config: &mut ServiceConfig) {
    method_not_allowed(config, CONTRACT_PATHS);
}

/// `search` is a path of its own, not the id of a user.
fn is_not_search(context: &guard::GuardContext<'_>) -> bool {
    !context.head().uri.path().ends_with("/search")
}

/// 503. The cause is logged with the request's id.
fn unavailable(call: &Call, error: &sqlx::Error) -> Problem {
    tracing::error!(
        request_id = call.context.request_id,
        cause = describe_redacted(error),
        "the read model can't be read"
    );
    Problem::unavailable("The users can't be read at the moment", 1)
}
