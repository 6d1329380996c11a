//! An error with its causes in one line. Many errors repeat their cause in their own text, so `{:#}` would say it twice.

use sqlx::error::DatabaseError;
use std::error::Error;

/// The error and its causes, each said once. Of PostgreSQL's own errors the message alone: the line that they name is one of its source code.
pub fn told(error: &(dyn Error + 'static)) -> String {
    let mut said = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = text(error);
        if !said.contains(&text) {
            let between = if said.is_empty() { "" } else { ": " };
            said.extend([between, &text]);
        }
        next = error.source();
    }
    said
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
    fn what_a_cause_says_is_said_once() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let error = Err::<(), _>(sqlx::Error::Io(refused)).context("it can't be asked").unwrap_err();
        assert_eq!(format!("{error:#}").matches("connection refused").count(), 2, "that is why");
        let told = told(error.as_ref());
        assert_eq!(told.matches("connection refused").count(), 1, "{told}");
        assert!(told.starts_with("it can't be asked: "), "{told}");
    }

    #[test]
    fn causes_that_say_more_are_kept() {
        let error = Err::<(), _>(io::Error::other("inner")).context("middle").context("outer").unwrap_err();
        assert_eq!(told(error.as_ref()), "outer: middle: inner");
    }
}
