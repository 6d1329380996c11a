//! Follows up writes that were answered 202.

use super::DeferredOutcome;
use crate::write::{projection::Projection, user_lock::UserLock};
use read_model::{
    WriteOutcome,
    projection_position::WaitError,
    read::after_write::{self, RecordedOutcome},
};
use service_kit::position::LogPosition;
use sqlx::PgPool;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// How many writes are followed up at once, so that an outage of the projector can't fill memory.
const MAX_FOLLOW_UPS: usize = 65_536;
/// How long one wait lasts before it starts over.
const WAIT_TIMEOUT: Duration = Duration::from_secs(3_600);
/// The pause after a failed query.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// The query for an outcome was not answered in time.
struct NoAnswer;

/// Follows up writes whose outcome was not known in time. Cheap to clone.
#[derive(Clone)]
pub(crate) struct FollowUps {
    projection: Projection,
    pool: PgPool,
    permits: Arc<Semaphore>,
}

impl FollowUps {
    pub(crate) fn new(projection: Projection, pool: PgPool) -> Self {
        Self { projection, pool, permits: Arc::new(Semaphore::new(MAX_FOLLOW_UPS)) }
    }

    /// Waits for the outcome in the background and records it if the write failed. The user's lock
    /// is held until the event is visible, or until a write would stop waiting for it.
    /// `on_log_replaced` takes over if another log becomes live.
    pub(crate) fn start(
        &self,
        position: LogPosition,
        lock: Option<UserLock>,
        deferred: DeferredOutcome,
        on_log_replaced: impl FnOnce(DeferredOutcome) + Send + 'static,
    ) {
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            return tracing::warn!("too many writes wait for the projector; one is not followed up");
        };
        let (this, until) = (self.clone(), self.projection.deadline());
        tokio::spawn(async move {
            let _permit = permit;
            let _ = this.projection.folded_up_to.await_position(position, until).await;
            drop(lock);
            match this.outcome(position).await {
                RecordedOutcome::Accepted => {}
                RecordedOutcome::Rejected(reason) => deferred.rejected(reason),
                RecordedOutcome::AnotherLog => on_log_replaced(deferred),
            }
        });
    }

    /// Waits as long as it takes.
    async fn outcome(&self, position: LogPosition) -> RecordedOutcome {
        loop {
            let until = Instant::now() + WAIT_TIMEOUT;
            match self.projection.folded_up_to.await_outcome(position, until).await {
                Ok(WriteOutcome::Accepted) => return RecordedOutcome::Accepted,
                Err(WaitError::NoSuchPartition | WaitError::AnotherLog) => {
                    return RecordedOutcome::AnotherLog;
                }
                Ok(WriteOutcome::Rejected | WriteOutcome::Parked) => {
                    if let Ok(outcome) = self.recorded(position, until).await {
                        return outcome;
                    }
                }
                Err(WaitError::TimedOut) => {}
            }
        }
    }

    /// Queries why the event was rejected. It is accepted by now if an operator retried it.
    async fn recorded(&self, position: LogPosition, deadline: Instant) -> Result<RecordedOutcome, NoAnswer> {
        let query = async {
            loop {
                match after_write::outcome(&self.pool, position).await {
                    Ok(outcome) => return outcome,
                    Err(error) => tracing::warn!(
                        error = service_kit::errors::describe_error(&error),
                        "the reason of a rejected event can't be read"
                    ),
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        };
        tokio::time::timeout_at(deadline.into(), query).await.map_err(|_| NoAnswer)
    }
}
