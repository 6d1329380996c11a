//! The command line. Exit codes: 0 for success, 1 for a failure or a negative result, 2 for wrong
//! usage, 130 after Ctrl-C, and 143 after SIGTERM.

use crate::{
    interrupted,
    printable::Printable,
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

    /// What the verb leaves if it is interrupted, and what to run next. `None`: it stops by itself,
    /// or takes no time.
    fn left(&self) -> Option<String> {
        match self {
            Self::Run(_) | Self::Env(_) | Self::Token(_) => None,
            Self::Migrate(_) => Some(migrate::LEFT.to_owned()),
            Self::Log(args) => args.left(),
            Self::Projection(args) => Some(args.left()),
            Self::DeadLetters(args) => Some(args.left()),
            Self::Erasure(_) | Self::Users(_) => Some(interrupted::NOTHING.to_owned()),
            Self::Keys(args) => Some(args.left()),
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
            let line = errors::describe_error(unreachable::explain(error).as_ref());
            let _ = writeln!(stderr(), "rollcall: {}", Printable(line));
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
    if let Some(left) = verb.left() {
        interrupted::watch(&runtime, left)?;
    }
    let outcome = LocalSet::new().block_on(&runtime, verb.run());
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::Parser as _;

    fn left(args: &str) -> Option<String> {
        Cli::try_parse_from(args.split(' ')).unwrap().verb.left()
    }

    #[test]
    fn an_interrupted_verb_names_the_next_command() {
        for (args, next) in [
            ("rollcall projection rebuild", "`rollcall projection rebuild --resume` goes on"),
            (
                "rollcall projection rebuild --promote",
                "`rollcall projection rebuild --resume --promote` goes on",
            ),
            ("rollcall projection verify", "nothing was changed. `rollcall projection verify`"),
            (
                "rollcall projection promote 2 --projection statistics",
                "`rollcall projection list --projection statistics`",
            ),
            ("rollcall projection rollback", "`rollcall projection list` shows"),
            ("rollcall log copy --to-prefix new.", "delete the topics new.users.events"),
            ("rollcall erasure audit", "nothing was changed"),
            ("rollcall keys rotate-master", "again"),
        ] {
            let left = left(args).unwrap();
            assert!(left.contains(next), "{args}: {left}");
        }
    }

    #[test]
    fn a_verb_that_stops_by_itself_says_nothing() {
        assert_eq!([left("rollcall run"), left("rollcall log tail")], [None, None]);
    }
}
