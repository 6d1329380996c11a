//! Statements of the services, which only read. All of them are about the live generation.

pub mod after_write;
pub(crate) mod checkpoints;
pub mod credentials;
pub mod deployment;
pub mod generation;
pub mod import;
pub mod page;
pub mod search;
pub mod user_before_write;
pub mod users;
