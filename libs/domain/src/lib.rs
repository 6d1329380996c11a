//! The rules of a user and a credential.
//!
//! [`decide`] turns a command and the current state into an event. [`evolve`] turns a state and an
//! event into the next state. [`codec`] converts between such an event and its record in the log,
//! where personal data is sealed. Nothing here does I/O or reads a clock.

pub mod codec;
pub mod command;
pub mod decide;
pub mod evolve;
pub mod link;
pub mod precondition;
pub mod terms;
