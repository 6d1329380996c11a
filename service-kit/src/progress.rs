//! How far the live generation has come, partition by partition: by NOTIFY, and by asking where that fails.
// STUB: filled in by the lead.

use crate::position::Position;
use sqlx::PgPool;
use std::time::Instant;

/// What the fold made of an event, as far as the announcement said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It had its effect.
    Accepted,
    /// It had none: superseded or rejected.
    Rejected,
}

/// Why a wait ended without an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The deadline passed.
    #[error("not visible in time")]
    TimedOut,
    /// There is no such partition.
    #[error("no such partition")]
    NoSuchPartition,
}

/// Follows the announcements. Cheap to clone.
#[derive(Clone)]
pub struct Progress {}

impl Progress {
    /// Starts to follow; reconnects for ever by itself.
    pub fn start(_pool: PgPool) -> Self {
        unimplemented!()
    }

    /// Waits until everything up to and including `position` is visible to every read.
    ///
    /// # Errors
    /// The deadline passed first, or there is no such partition.
    pub async fn visible(&self, _position: Position, _deadline: Instant) -> Result<(), WaitError> {
        unimplemented!()
    }

    /// The same, and whether the event at that position was accepted.
    ///
    /// # Errors
    /// As `visible`.
    pub async fn outcome(&self, _position: Position, _deadline: Instant) -> Result<Outcome, WaitError> {
        unimplemented!()
    }

    /// The number of partitions of the log, once known.
    ///
    /// # Errors
    /// The deadline passed first.
    pub async fn partitions(&self, _deadline: Instant) -> Result<u32, WaitError> {
        unimplemented!()
    }
}
