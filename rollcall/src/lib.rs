//! The whole service in one process, with the stores it needs as its children, and the verbs of its operator.

mod cli;
mod local;
mod services;
mod settings;
mod stop;
mod unreached;
mod verbs;

pub use cli::main;
