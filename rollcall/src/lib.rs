//! The command `rollcall`: `rollcall run` is the whole service in one process, with local stores as
//! child processes; the other verbs are for its operator.

mod cli;
mod interrupted;
mod local;
mod printable;
mod services;
mod settings;
mod stop;
mod unreachable;
mod verbs;

pub use cli::main;
