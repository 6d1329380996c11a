//! State and event give the next state. Every replay of a log gives the same state.

pub mod credential;
pub mod user;
