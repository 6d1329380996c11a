//! From an appended event to what became of it.

use crate::{
    metrics,
    open_end::OpenEnd,
    rejection::{Rejection, Rejections},
    turns::Turn,
};
use read_model::{
    WriteOutcome,
    projection_position::{LiveLog, ProjectionPosition, WaitError},
};
use service_kit::position::LogPosition;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Writes answered 202 that are followed up at once, so that an outage of the projector can't fill the memory.
const FOLLOWED: usize = 65_536;
/// One stretch of waiting for a write that nobody waits for any more.
const STRETCH: Duration = Duration::from_secs(3_600);
/// For the read model to say which log is live, once after the start.
const ANSWER: Duration = Duration::from_secs(2);

/// What became of an event, as far as can be said in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It had its effect, and every read shows it.
    Accepted,
    /// It has none, and never will.
    Void,
    /// It is in the log. It may have its effect later: it is not folded yet, or it waits for an operator.
    Pending,
}

/// Another log is the live one.
struct AnotherLog;

/// Waits for the projector. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Visible {
    projection: ProjectionPosition,
    rejections: Rejections,
    timeout: Duration,
    followed: Arc<Semaphore>,
}

impl Visible {
    pub(crate) fn new(projection: ProjectionPosition, rejections: Rejections, timeout: Duration) -> Self {
        Self { projection, rejections, timeout, followed: Arc::new(Semaphore::new(FOLLOWED)) }
    }

    /// Whether the read model may lack what the log has, so that a refusal can't rest on it alone.
    pub(crate) fn is_catching_up(&self) -> bool {
        self.projection.catching_up().is_some()
    }

    /// When a write that begins now stops to wait.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// How long a write that begins now waits for the other writers of its user: there must be time left for its own event.
    pub(crate) fn patience(&self) -> Duration {
        self.timeout / 2
    }

    /// The first offset of a partition that is not known to be folded.
    pub(crate) fn folded(&self, log: LiveLog, partition: u32) -> i64 {
        self.projection.next_offset(log, partition)
    }

    /// Whether an event past `position` had no effect, as far as was heard.
    pub(crate) fn has_rejected_since(&self, position: LogPosition) -> bool {
        self.projection.has_rejected_since(position)
    }

    /// The log that is live; `None`: the read model can't say.
    pub(crate) async fn log(&self) -> Option<LiveLog> {
        self.projection.live_log(Instant::now() + ANSWER).await.ok()
    }

    /// Waits for the event at `position`.
    pub(crate) async fn fate(&self, position: LogPosition, deadline: Instant) -> Fate {
        let began = Instant::now();
        match self.projection.await_outcome(position, deadline).await {
            Ok(WriteOutcome::Accepted) => {
                metrics::waited(began.elapsed());
                Fate::Accepted
            }
            Ok(WriteOutcome::Rejected) => Fate::Void,
            Ok(WriteOutcome::Parked)
            | Err(WaitError::TimedOut | WaitError::NoSuchPartition | WaitError::AnotherLog) => Fate::Pending,
        }
    }

    /// Follows up a write that was answered before its fate was known, and records its end if it failed. Until its effect is there the
    /// next writer of the user waits, unless that takes too long. `replaced` takes the end if another log becomes the live one.
    pub(crate) fn follow_up(
        &self,
        position: LogPosition,
        turn: Option<Turn>,
        end: OpenEnd,
        replaced: impl FnOnce(OpenEnd) + Send + 'static,
    ) {
        let Ok(place) = self.followed.clone().try_acquire_owned() else {
            return tracing::warn!("too many writes wait for the projector; one is not followed up");
        };
        let (visible, until) = (self.clone(), self.deadline());
        tokio::spawn(async move {
            let _place = place;
            let _ = visible.projection.await_position(position, until).await;
            drop(turn);
            match visible.rejection(position).await {
                Ok(Some(rejection)) => end.rejected(rejection),
                Ok(None) => {}
                Err(AnotherLog) => replaced(end),
            }
        });
    }

    /// Why the event was rejected, if it was; waits as long as that takes.
    async fn rejection(&self, position: LogPosition) -> Result<Option<Rejection>, AnotherLog> {
        loop {
            let until = Instant::now() + STRETCH;
            match self.projection.await_outcome(position, until).await {
                Ok(WriteOutcome::Accepted) => return Ok(None),
                Err(WaitError::NoSuchPartition | WaitError::AnotherLog) => return Err(AnotherLog),
                Ok(WriteOutcome::Rejected | WriteOutcome::Parked) => {
                    if let Ok(reason) = self.rejections.reason(position, until).await {
                        return Ok(reason);
                    }
                }
                Err(WaitError::TimedOut) => {}
            }
        }
    }
}
