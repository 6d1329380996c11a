//! Why the fold gave an event of ours no effect.

use service_kit::position::LogPosition;
use sqlx::PgPool;
use std::time::{Duration, Instant};

const REASON: &str = "\
SELECT r.reason FROM live.rejections r, rollcall.generations g \
WHERE r.partition = $1 AND r.log_offset = $2 AND g.state = 'live' AND g.log_epoch = $3";
/// How long to leave a database alone that just refused.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// The reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// Another writer came first.
    Superseded,
    /// The user was deleted before.
    Deleted,
    /// It queues behind an event that could not be read: it may have its effect when the operator retries that one.
    Parked,
}

/// Asks the read model.
#[derive(Clone)]
pub(crate) struct Rejections {
    pool: PgPool,
}

/// The read model did not answer in time.
#[derive(Debug)]
pub(crate) struct NoAnswer;

impl Rejections {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Why the event at `position` was rejected; `None`: it is not rejected any more, since the operator retried it.
    pub(crate) async fn reason(
        &self,
        position: LogPosition,
        deadline: Instant,
    ) -> Result<Option<Rejection>, NoAnswer> {
        let asking = async {
            loop {
                match self.ask(position).await {
                    Ok(reason) => return reason,
                    Err(error) => tracing::warn!(
                        error = service_kit::chain::told(&error),
                        "why an event was rejected could not be asked"
                    ),
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        };
        tokio::time::timeout_at(deadline.into(), asking).await.map_err(|_| NoAnswer)
    }

    async fn ask(&self, position: LogPosition) -> sqlx::Result<Option<Rejection>> {
        let LogPosition { epoch, at } = position;
        let (partition, epoch) = (i32::try_from(at.partition), i32::try_from(epoch));
        let query = sqlx::query_scalar(REASON).bind(partition.unwrap_or(-1)).bind(at.offset);
        let reason: Option<String> = query.bind(epoch.unwrap_or(-1)).fetch_optional(&self.pool).await?;
        Ok(reason.map(|reason| match reason.as_str() {
            "deleted" => Rejection::Deleted,
            "parked" => Rejection::Parked,
            _ => Rejection::Superseded,
        }))
    }
}
