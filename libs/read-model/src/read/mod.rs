//! Statements of the services, which only read. All of them are about the live generation.

pub(crate) mod checkpoints;
pub mod commands;
pub mod credentials;
pub mod generation;
pub mod page;
pub mod search;
pub mod users;
