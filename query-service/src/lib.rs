//! The reading half of the API: one user, pages of users, search, and a user's credentials.
//!
//! No type of the domain is known here. A user is a tenant, an id, a version and a ready body, and the body passes from the store to
//! the socket as it is.

mod app;
mod condition;
mod contract;
mod criteria;
mod events;
mod page;
mod read_after;
mod refusals;
mod routes;
mod store;
#[cfg(test)]
mod tests;

pub use app::{App, start};
pub use routes::fallbacks;
