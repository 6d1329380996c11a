//! The verbs, one file for each.

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
mod words;

use crate::printable::Printable;
use std::io::{self, ErrorKind, Write, stdout};

/// Prints a line of the verb's result. If stdout is closed, as by `head`, the verb still runs to its end
/// and exits with its own code.
fn print(line: impl std::fmt::Display) -> anyhow::Result<()> {
    match write_line(line) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Prints a line for a verb that runs forever, which stops when stdout is closed.
fn write_line(line: impl std::fmt::Display) -> io::Result<()> {
    let mut stdout = stdout().lock();
    writeln!(stdout, "{}", Printable(line))?;
    stdout.flush()
}
