//! The two stores that the projector writes.

pub(crate) mod erase;
pub mod link;
pub mod postgres;
pub(crate) mod probe;
pub(crate) mod queue;
pub mod redis;
pub(crate) mod refused;
mod sql;
