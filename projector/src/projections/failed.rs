//! Why a generation can't follow.

use read_model::{projections::round::At, write::sql_error};
use std::fmt;

/// A failure, with the record that can't be folded if it is known. Contains no personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) record: Option<At>,
    pub(super) reason: String,
}

impl std::error::Error for Failed {}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record {
            Some((partition, offset)) => write!(f, "record users:{partition}:{offset}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl Failed {
    pub(super) fn at(record: At, reason: impl Into<String>) -> Self {
        Self { record: Some(record), reason: reason.into() }
    }

    /// PostgreSQL's own text is left out, since it may repeat a row.
    pub(super) fn sql(error: &sqlx::Error) -> Self {
        Self { record: None, reason: format!("PostgreSQL: {}", sql_error::reason(error)) }
    }

    /// What is known of any error of a round.
    pub(super) fn of(error: &anyhow::Error) -> Self {
        if let Some(failed) = error.downcast_ref::<Self>() {
            return failed.clone();
        }
        match error.downcast_ref::<sqlx::Error>() {
            Some(error) => Self::sql(error),
            None => Self { record: None, reason: service_kit::errors::describe_error(error.as_ref()) },
        }
    }
}
