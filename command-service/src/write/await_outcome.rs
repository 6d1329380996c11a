//! Step 5: wait until the projector has folded the event.

use crate::metrics;
use read_model::{
    WriteOutcome,
    projection_position::{LiveLog, ProjectionPosition, WaitError},
};
use service_kit::position::LogPosition;
use std::time::{Duration, Instant};

/// How long the read model may take to say which log is live, once after the start.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// Waits for the projector. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Outcomes {
    pub(super) projection: ProjectionPosition,
    timeout: Duration,
}

impl Outcomes {
    pub(crate) fn new(projection: ProjectionPosition, timeout: Duration) -> Self {
        Self { projection, timeout }
    }

    /// Whether the read model may lack events of the log, so that a refusal can't rest on it alone.
    pub(crate) fn is_catching_up(&self) -> bool {
        self.projection.catching_up().is_some()
    }

    /// When a write that starts now stops waiting.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// How long a write waits for its user's lock. Half of the time remains for its own event.
    pub(crate) fn lock_timeout(&self) -> Duration {
        self.timeout / 2
    }

    /// The first offset of a partition that is not known to be folded.
    pub(crate) fn next_offset(&self, log: LiveLog, partition: u32) -> i64 {
        self.projection.next_offset(log, partition)
    }

    /// Whether an event after `position` was announced as rejected.
    pub(crate) fn has_rejected_since(&self, position: LogPosition) -> bool {
        self.projection.has_rejected_since(position)
    }

    /// The live log. `None` if the read model does not answer.
    pub(crate) async fn live_log(&self) -> Option<LiveLog> {
        self.projection.live_log(Instant::now() + QUERY_TIMEOUT).await.ok()
    }

    /// Waits for the outcome of the event at `position`. `None` if it is not known in time.
    pub(crate) async fn await_outcome(
        &self,
        position: LogPosition,
        deadline: Instant,
    ) -> Option<WriteOutcome> {
        let began = Instant::now();
        match self.projection.await_outcome(position, deadline).await {
            Ok(WriteOutcome::Accepted) => {
                metrics::waited(began.elapsed());
                Some(WriteOutcome::Accepted)
            }
            Ok(WriteOutcome::Rejected) => Some(WriteOutcome::Rejected),
            Ok(WriteOutcome::Parked) => Some(WriteOutcome::Parked),
            Err(WaitError::TimedOut | WaitError::NoSuchPartition | WaitError::AnotherLog) => None,
        }
    }
}
