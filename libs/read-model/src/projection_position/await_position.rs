//! Waiting until a position is visible, and for the outcome of the event there.

use super::{LiveLog, POLL_INTERVAL, ProjectionPosition, QUERY_TIMEOUT, known::LivePositions};
use crate::{
    WriteOutcome,
    read::after_write::{self, RecordedOutcome},
};
use service_kit::{
    database::answered,
    errors,
    position::{LogPosition, Position},
};
use std::time::Instant;

/// Why a wait ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The deadline passed.
    #[error("not visible in time")]
    TimedOut,
    /// The log has no such partition.
    #[error("no such partition")]
    NoSuchPartition,
    /// The position belongs to another log than the live one.
    #[error("the position belongs to another log")]
    AnotherLog,
}

impl ProjectionPosition {
    /// Waits until everything up to and including `position` is visible to every read.
    ///
    /// # Errors
    /// The deadline passed first, there is no such partition, or the position belongs to another log.
    pub async fn await_position(&self, position: LogPosition, deadline: Instant) -> Result<(), WaitError> {
        self.reached(position, deadline).await.map(|_| ())
    }

    /// Waits until the event at `position` is folded, and returns its outcome.
    ///
    /// # Errors
    /// As for [`Self::await_position`]. Also when the read model did not answer before the deadline.
    pub async fn await_outcome(
        &self,
        position: LogPosition,
        deadline: Instant,
    ) -> Result<WriteOutcome, WaitError> {
        match self.reached(position, deadline).await? {
            Some(outcome) => Ok(outcome),
            None => self.query_outcome(position, deadline).await,
        }
    }

    /// Waits until it is known which log is live.
    ///
    /// # Errors
    /// The deadline passed first.
    pub async fn live_log(&self, deadline: Instant) -> Result<LiveLog, WaitError> {
        self.wait_until(deadline, LivePositions::log).await
    }

    /// Waits for the position. Returns the outcome with it if that was announced.
    async fn reached(
        &self,
        position: LogPosition,
        deadline: Instant,
    ) -> Result<Option<WriteOutcome>, WaitError> {
        let (began, LogPosition { epoch, at: Position { partition, offset } }) = (Instant::now(), position);
        let check = |live: &LivePositions| {
            if live.epoch != epoch {
                return self.is_certain_since(live, began).then_some(Err(WaitError::AnotherLog));
            }
            match live.partitions.get(&partition) {
                // All partitions of a log are learned at once, so one that is missing does not
                // exist.
                None => (!live.partitions.is_empty()).then_some(Err(WaitError::NoSuchPartition)),
                Some(known) if offset < known.next => Some(Ok(known.outcome(offset))),
                Some(_) => None,
            }
        };
        self.wait_until(deadline, check).await?
    }

    /// Whether what is known was queried after the wait began. Another instance may learn of a new
    /// log before this one does, so an older answer proves nothing; it is queried again.
    fn is_certain_since(&self, live: &LivePositions, began: Instant) -> bool {
        let is_certain = live.queried_at.is_some_and(|queried_at| queried_at >= began);
        if !is_certain {
            self.poll_demand.request_poll();
        }
        is_certain
    }

    async fn wait_until<T>(
        &self,
        deadline: Instant,
        mut check: impl FnMut(&LivePositions) -> Option<T>,
    ) -> Result<T, WaitError> {
        let mut found = None;
        let mut live = self.live.clone();
        let wait = async {
            let _waiter = self.poll_demand.enter();
            let _ = live
                .wait_for(|live| {
                    found = check(live);
                    found.is_some()
                })
                .await;
        };
        // The condition is checked before the clock, so a deadline of now checks it without
        // waiting.
        let _ = tokio::time::timeout_at(deadline.into(), wait).await;
        found.ok_or(WaitError::TimedOut)
    }

    async fn query_outcome(
        &self,
        position: LogPosition,
        deadline: Instant,
    ) -> Result<WriteOutcome, WaitError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match answered(left.min(QUERY_TIMEOUT), after_write::outcome(&self.pool, position)).await {
                Ok(RecordedOutcome::Accepted) => return Ok(WriteOutcome::Accepted),
                Ok(RecordedOutcome::Rejected(reason)) => return Ok(reason.into()),
                Ok(RecordedOutcome::AnotherLog) => return Err(WaitError::AnotherLog),
                Err(_) if Instant::now() >= deadline => return Err(WaitError::TimedOut),
                Err(error) => {
                    tracing::warn!(
                        error = errors::describe_error(&error),
                        "the outcome of an event can't be read"
                    )
                }
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}
