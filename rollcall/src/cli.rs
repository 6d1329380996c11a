//! The command line. Exit codes: 0 for success, 1 for a failure or a negative result, 2 for wrong
//! usage.

use crate::{
    unreachable,
    verbs::{self, dead_letters, env, erasure, keys, log, migrate, projection, token, users},
};
use clap::{Parser, Subcommand};
use service_kit::{environment, errors, failpoint};
use std::{
    io::{Write, stderr},
    process::ExitCode,
};
use tokio::{runtime::Builder, task::LocalSet};

/// The version. `make build` adds the commit.
const VERSION: &str = match option_env!("BUILD_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// Run and operate the Rollcall users service
///
/// Settings are environment variables. `.env.example` lists them.
#[derive(Parser)]
#[command(name = "rollcall", version = VERSION)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

/// The verbs. Arguments and code of each are in `verbs/`.
#[derive(Subcommand)]
enum Verb {
    Run(verbs::run::Args),
    Env(env::Args),
    Token(token::Args),
    Migrate(migrate::Args),
    Log(log::Args),
    Projection(projection::Args),
    DeadLetters(dead_letters::Args),
    Erasure(erasure::Args),
    Users(users::Args),
    Keys(keys::Args),
}

impl Verb {
    async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Run(args) => Box::pin(verbs::run::run(&args)).await,
            Self::Env(args) => env::env(&args),
            Self::Token(args) => token::token(&args),
            Self::Migrate(args) => migrate::migrate(&args).await,
            Self::Log(args) => log::log(&args).await,
            Self::Projection(args) => projection::projection(&args).await,
            Self::DeadLetters(args) => dead_letters::dead_letters(&args).await,
            Self::Erasure(args) => erasure::erasure(&args).await,
            Self::Users(args) => users::users(&args).await,
            Self::Keys(args) => keys::keys(&args).await,
        }
    }
}

/// Runs the verb that the command line names.
#[must_use]
pub fn main() -> ExitCode {
    match environment::clean().and_then(|()| start()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If stderr is closed, nobody reads the error.
            let _ = writeln!(
                stderr(),
                "rollcall: {}",
                errors::describe_error(unreachable::explain(error).as_ref())
            );
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<()> {
    failpoint::start();
    run(Cli::parse().verb)
}

/// Runs the verb, and the tasks of its `LocalSet`, on the main thread: the kernel kills a child process
/// when the thread that started it ends.
fn run(verb: Verb) -> anyhow::Result<()> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let outcome = LocalSet::new().block_on(&runtime, verb.run());
    runtime.shutdown_background();
    outcome
}
