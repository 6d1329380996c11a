//! One file for each verb: its arguments, and the few calls that it is made of.

mod bar;
pub(crate) mod dead_letters;
pub(crate) mod env;
pub(crate) mod erasure;
pub(crate) mod keys;
pub(crate) mod log;
pub(crate) mod migrate;
mod new_file;
pub(crate) mod projection;
pub(crate) mod run;
mod screen;
mod table;
pub(crate) mod token;
mod user;
pub(crate) mod users;
mod welcome;

use std::io::{Write, stdout};

/// A line of the verb's result.
fn print(line: impl std::fmt::Display) -> anyhow::Result<()> {
    let mut stdout = stdout().lock();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}
