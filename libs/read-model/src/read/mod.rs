//! Statements of the services, which only read. All of them are about the live generation.

pub(crate) mod checkpoints;
