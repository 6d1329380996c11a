//! Helpers for integration tests: a stack to test, a client for one tenant, a reader of the log,
//! and a fold of the log that shares no code with the projector.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod answer;
mod api;
mod browser;
pub mod chaos;
mod cipher;
mod cli;
pub mod contracts;
mod deployment;
mod durations;
mod fold;
mod foreign;
pub mod golden;
mod jwt;
mod keyring;
mod log;
mod ports;
mod process;
mod processes;
mod programs;
mod proxy;
mod raw;
mod raw_log;
mod redis_server;
mod servers;
mod stack;
mod together;
mod transaction;
mod transcript;
mod until;
mod vault;

pub use answer::Answer;
pub use api::{Api, Call, PREFIX};
pub use browser::Browser;
pub use cli::{Cli, Output, run_service};
pub use deployment::{Deployment, Service, new_database};
pub use durations::{slowest, timed};
pub use fold::{Accepted, Model, User, fold};
pub use foreign::Foreign;
pub use jwt::{Claims, Signer};
pub use keyring::{Keyring, WrappedKey};
pub use log::{Record, read_topic};
pub use ports::free_port;
pub use process::Process;
pub use processes::processes_of;
pub use proxy::{Proxy, Way};
pub use raw::raw;
pub use raw_log::{RawRecord, append_raw, read_raw};
pub use redis_server::RedisServer;
pub use servers::Server;
pub use stack::{Stack, remove_scratch, scratch, workspace};
pub use together::Together;
pub use transaction::Transaction;
pub use transcript::{Shell, replay};
pub use until::until;
pub use vault::Vault;
