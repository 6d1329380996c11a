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

use std::io::{self, ErrorKind, Write, stdout};

/// A line of the verb's result. Whoever reads with `head` has seen enough; the verb goes on to its end
/// all the same, and its exit code says what came of it.
fn print(line: impl std::fmt::Display) -> anyhow::Result<()> {
    match write_line(line) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// The same for a verb that has no end: it learns that nobody reads.
fn write_line(line: impl std::fmt::Display) -> io::Result<()> {
    let mut stdout = stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}
