//! Step 5: wait until the projector has folded the event ([`Projection::await_outcome`]). The other
//! steps ask here how far it is, which log is live, and how long a write waits.

use crate::metrics;
use read_model::{
    WriteOutcome,
    projection_position::{LiveLog, ProjectionPosition, WaitError},
};
use service_kit::position::LogPosition;
use std::time::{Duration, Instant};

/// How long to wait until it is known which log is live. Only the first writes after a start have
/// to wait.
const LIVE_LOG_TIMEOUT: Duration = Duration::from_secs(2);

/// The read model as a write sees it: how far it is folded, and what became of an event. Cheap to
/// clone.
#[derive(Clone)]
pub(crate) struct Projection {
    pub(super) folded_up_to: ProjectionPosition,
    /// How long a write waits for its outcome.
    timeout: Duration,
}

impl Projection {
    pub(crate) fn new(folded_up_to: ProjectionPosition, timeout: Duration) -> Self {
        Self { folded_up_to, timeout }
    }

    /// Whether the read model may lack events of the log, so that a refusal can't rest on it alone.
    pub(crate) fn is_catching_up(&self) -> bool {
        self.folded_up_to.catching_up().is_some()
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
        self.folded_up_to.next_offset(log, partition)
    }

    /// Whether an event after `position` was announced as rejected.
    pub(crate) fn has_rejected_since(&self, position: LogPosition) -> bool {
        self.folded_up_to.has_rejected_since(position)
    }

    /// The live log. `None` if the read model does not answer.
    pub(crate) async fn live_log(&self) -> Option<LiveLog> {
        self.folded_up_to.live_log(Instant::now() + LIVE_LOG_TIMEOUT).await.ok()
    }

    /// Waits for the outcome of the event at `position`. `None` if it is not known in time.
    pub(crate) async fn await_outcome(
        &self,
        position: LogPosition,
        deadline: Instant,
    ) -> Option<WriteOutcome> {
        let began = Instant::now();
        match self.folded_up_to.await_outcome(position, deadline).await {
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
