//! Formats an error once, on one line, with its causes.

use sqlx::error::DatabaseError;
use std::{error::Error, fmt};

/// The error of a `main`. It prints on one line, without the backtrace that `RUST_BACKTRACE` would
/// add.
pub struct ExitError(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for ExitError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// The standard library prints the error of a `main` with `Debug`.
impl fmt::Debug for ExitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe_error(self.0.as_ref()))
    }
}

/// An error and its causes on one line, without repetition: many errors include their cause's text
/// in their own, so `{:#}` would print it twice. Of PostgreSQL's errors only the message is shown;
/// the file and line that they carry are those of its source code.
pub fn describe_error(error: &(dyn Error + 'static)) -> String {
    let mut line = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = text(error);
        if !line.contains(&text) {
            let between = if line.is_empty() { "" } else { ": " };
            line.extend([between, &text]);
        }
        next = error.source();
    }
    line
}

fn text(error: &(dyn Error + 'static)) -> String {
    if let Some(sqlx::Error::Database(refusal)) = error.downcast_ref() {
        return refusal.message().to_owned();
    }
    match error.downcast_ref::<Box<dyn DatabaseError>>() {
        Some(refusal) => refusal.message().to_owned(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;
    use std::io;

    #[test]
    fn a_repeated_cause_is_printed_once() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let error = Err::<(), _>(sqlx::Error::Io(refused)).context("no answer").unwrap_err();
        assert_eq!(
            format!("{error:#}").matches("connection refused").count(),
            2,
            "the alternate format repeats it"
        );
        let text = describe_error(error.as_ref());
        assert_eq!(text.matches("connection refused").count(), 1, "{text}");
        assert!(text.starts_with("no answer: "), "{text}");
    }

    #[test]
    fn distinct_causes_are_all_printed() {
        let error = Err::<(), _>(io::Error::other("inner")).context("middle").context("outer").unwrap_err();
        assert_eq!(describe_error(error.as_ref()), "outer: middle: inner");
    }
}
