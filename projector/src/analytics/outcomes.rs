//! Which events had an effect: the live generation knows, once it has folded them.

use domain::codec::owner;
use events_schema::UserKey;
use key_store::{KeyRing, Keys, KeysError};
use read_model::{
    projection_position::ProjectionPosition,
    write::rejected::{self, OffsetRange},
};
use service_kit::{database::answered, position::Position};
use sqlx::PgPool;
use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// How long to wait for the fold. Meanwhile other partitions wait, and the consumer is not polled.
const FOLD_TIMEOUT: Duration = Duration::from_millis(500);

/// How long PostgreSQL may take to answer. The consumer is not polled meanwhile.
const QUERY_TIMEOUT: Duration = Duration::from_secs(4);

/// Asks for outcomes. Its methods block the calling thread.
pub(super) struct Outcomes {
    pool: PgPool,
    projection: ProjectionPosition,
    keys: Keys,
    runtime: Handle,
}

impl Outcomes {
    pub(super) fn new(pool: PgPool, projection: ProjectionPosition, keys: Keys, runtime: Handle) -> Self {
        Self { pool, projection, keys, runtime }
    }

    /// The data key of a user, if it still exists.
    pub(super) fn keys_of(&self, key: &UserKey) -> Result<KeyRing, KeysError> {
        self.runtime.block_on(self.keys.get_many(&[owner(key)]))
    }

    /// The offsets without effect in each range. A partition is left out if its range is not folded
    /// in time.
    pub(super) fn rejected(&self, ranges: &[OffsetRange]) -> sqlx::Result<BTreeMap<i32, HashSet<i64>>> {
        if ranges.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.runtime.block_on(async {
            self.await_fold(ranges).await;
            answered(QUERY_TIMEOUT, rejected::offsets(&self.pool, ranges)).await
        })
    }

    /// Waits until the ranges are folded, or the time is up. The query decides.
    async fn await_fold(&self, ranges: &[OffsetRange]) {
        let deadline = Instant::now() + FOLD_TIMEOUT;
        let Ok(log) = self.projection.live_log(deadline).await else { return };
        let positions = ranges.iter().filter_map(|range| {
            let partition = u32::try_from(range.partition).ok()?;
            Some(log.position(Position { partition, offset: range.last }))
        });
        futures_util::future::join_all(positions.map(|position| async move {
            if self.projection.await_position(position, deadline).await.is_err() {
                // The read model may not know the partition yet.
                tokio::time::sleep_until(deadline.into()).await;
            }
        }))
        .await;
    }
}
