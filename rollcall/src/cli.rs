//! The command line: verbs in, exit codes out (0 done, 1 failed or the answer is no, 2 wrong usage).

use crate::{
    unreached,
    verbs::{dead_letters, env, erasure, keys, log, migrate, projection, run, token, users},
};
use clap::{Parser, Subcommand};
use service_kit::{environment, errors, failpoint};
use std::{
    io::{Write, stderr},
    process::ExitCode,
};
use tokio::{runtime::Builder, task::LocalSet};

/// Runs and tends a users service. Settings come from the environment; `.env.example` lists them.
#[derive(Parser)]
#[command(name = "rollcall", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

/// One variant for each verb; its arguments and its work are in `verbs/`.
#[derive(Subcommand)]
enum Verb {
    Run(run::Args),
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
    async fn perform(self) -> anyhow::Result<()> {
        match self {
            Self::Run(args) => run::run(&args).await,
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

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    match environment::clean().and_then(|()| start()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when stderr is gone.
            let _ =
                writeln!(stderr(), "rollcall: {}", errors::describe_error(unreached::named(error).as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<()> {
    failpoint::start();
    perform(Cli::parse().verb)
}

/// On the main thread, and so are the tasks of the set: a child must be started by a thread that lives as long as the process.
fn perform(verb: Verb) -> anyhow::Result<()> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let outcome = LocalSet::new().block_on(&runtime, verb.perform());
    runtime.shutdown_background();
    outcome
}
