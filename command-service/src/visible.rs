//! From an appended event to what became of it.

use crate::metrics;
use events_schema::analytics::Phase;
use service_kit::{
    analytics::Data,
    operation::Call,
    position::Position,
    problem::Problem,
    progress::{Outcome, Progress, WaitError},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Writes answered 202 that are followed up at once, so that an outage of the projector can't fill the memory.
const FOLLOWED: usize = 65_536;
/// One stretch of waiting for a write that nobody waits for any more.
const STRETCH: Duration = Duration::from_secs(3_600);
/// For the read model to say how many partitions there are, once after the start.
const PARTITIONS: Duration = Duration::from_secs(2);

/// What became of an event, as far as can be said in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It had its effect, and every read shows it.
    Accepted,
    /// Another writer came first: it has none.
    Superseded,
    /// It is in the log; more is not known yet.
    Pending,
}

/// Waits for the projector.
pub(crate) struct Visible {
    progress: Progress,
    timeout: Duration,
    followed: Arc<Semaphore>,
}

impl Visible {
    pub(crate) fn new(progress: Progress, timeout: Duration) -> Self {
        Self { progress, timeout, followed: Arc::new(Semaphore::new(FOLLOWED)) }
    }

    /// When a write that begins now stops to wait.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// The number of the log's partitions; `None`: the read model can't say.
    pub(crate) async fn partitions(&self) -> Option<u32> {
        self.progress.partitions(Instant::now() + PARTITIONS).await.ok()
    }

    /// Waits for the event at `position`.
    pub(crate) async fn fate(&self, position: Position, deadline: Instant) -> Fate {
        let began = Instant::now();
        match self.progress.outcome(position, deadline).await {
            Ok(Outcome::Accepted) => {
                metrics::waited(began.elapsed());
                Fate::Accepted
            }
            Ok(Outcome::Rejected) => {
                metrics::superseded();
                Fate::Superseded
            }
            Err(WaitError::TimedOut | WaitError::NoSuchPartition) => Fate::Pending,
        }
    }

    /// Follows up a write that was answered before its fate was known: if it is superseded, `problem` is its end. `about` is what
    /// FAIL says beside the error.
    pub(crate) fn follow_up(&self, position: Position, call: Call, about: Data, problem: Problem) {
        let Ok(place) = self.followed.clone().try_acquire_owned() else {
            return tracing::warn!("too many writes wait for the projector; one is not followed up");
        };
        let progress = self.progress.clone();
        tokio::spawn(async move {
            let _place = place;
            if is_superseded(&progress, position).await {
                metrics::superseded();
                let failed = about.failed(&format!("{:?}", problem.code), &problem.message);
                call.recorder.record(&call.context, call.operation, Phase::Fail, failed);
            }
        });
    }
}

async fn is_superseded(progress: &Progress, position: Position) -> bool {
    loop {
        match progress.outcome(position, Instant::now() + STRETCH).await {
            Ok(outcome) => return outcome == Outcome::Rejected,
            Err(WaitError::NoSuchPartition) => return false,
            Err(WaitError::TimedOut) => {}
        }
    }
}
