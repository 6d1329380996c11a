//! The reading half of the API: one user, pages of users, search, and a user's credentials.
//!
//! This crate knows no type of the domain. A user is a tenant, an id, a version and a ready body,
//! and the body goes from the store to the socket unchanged.
//!
//! To follow a `GET /v1/users/{id}`:
//!
//! 1. `app` starts the service and mounts the routes, once per worker;
//! 2. `routes/get.rs` parses the request and builds the answer. `service_kit::operation::run`
//!    around it authenticates and records the analytic events;
//! 3. `read_after` waits for the position that the client names, if it names one;
//! 4. `store` looks into Redis (`store/cache.rs`), and where that has no answer that can be
//!    trusted, reads PostgreSQL (`store/postgres.rs`). The statements and key names are
//!    `read_model`'s.

mod analytic_data;
mod app;
mod conditional;
mod contract;
mod document;
mod page_params;
mod page_response;
mod read_after;
mod reference;
mod routes;
mod search_request;
mod state;
mod store;
#[cfg(test)]
mod tests;

pub use app::{App, start};
pub use routes::fallbacks;
