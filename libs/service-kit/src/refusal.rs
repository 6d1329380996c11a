//! How a program ends that can't go on.

use crate::chain;
use std::fmt;

/// The error of a `main`: told in its own words on one line, without the backtrace that `RUST_BACKTRACE` would add.
pub struct Refusal(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// What is printed of the error of a `main`.
impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chain::told(self.0.as_ref()))
    }
}
