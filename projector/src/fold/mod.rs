//! The fold: state and event give a change. Pure, so that every replay gives the same.

pub mod credential;
pub mod user;
