//! What became of the events: asked of the live generation, once it has folded them.

use domain::codec::owner;
use events_schema::UserKey;
use key_store::{KeyRing, Keys, KeysError};
use read_model::projection_position::ProjectionPosition;
use service_kit::{database::answered, position::Position};
use sqlx::PgPool;
use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// How long a partition may keep the others waiting, and the consumer from its group.
const PATIENCE: Duration = Duration::from_millis(500);

/// For one answer of the read model; the consumer has to be polled meanwhile.
const ANSWER: Duration = Duration::from_secs(4);

/// Records of one partition, both ends included.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) partition: i32,
    pub(super) first: i64,
    pub(super) last: i64,
}

/// One statement sees one state of the read model: a partition is in the answer only where its whole span is folded.
const ASK: &str = "SELECT span.partition, \
        ARRAY(SELECT r.log_offset FROM live.rejections r \
              WHERE r.partition = span.partition AND r.log_offset BETWEEN span.first AND span.last) \
    FROM UNNEST($1::int[], $2::bigint[], $3::bigint[]) AS span (partition, first, last) \
    JOIN live.checkpoints c ON c.topic = 'users' AND c.partition = span.partition AND c.next_offset > span.last";

/// Asks for outcomes, from a thread that may block.
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

    /// The key of a user, if it is still there.
    pub(super) fn keys_of(&self, key: &UserKey) -> Result<KeyRing, KeysError> {
        self.runtime.block_on(self.keys.get_many(&[owner(key)]))
    }

    /// The offsets without effect, for each partition whose span is folded by now or within half a second.
    pub(super) fn rejected(&self, spans: &[Span]) -> sqlx::Result<BTreeMap<i32, HashSet<i64>>> {
        if spans.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.runtime.block_on(async {
            self.wait(spans).await;
            answered(ANSWER, self.ask(spans)).await
        })
    }

    /// Sleeps until there is something to ask; the answer itself comes from the query.
    async fn wait(&self, spans: &[Span]) {
        let deadline = Instant::now() + PATIENCE;
        let Ok(log) = self.projection.live_log(deadline).await else { return };
        let positions = spans.iter().filter_map(|span| {
            let partition = u32::try_from(span.partition).ok()?;
            Some(log.position(Position { partition, offset: span.last }))
        });
        futures_util::future::join_all(positions.map(|position| async move {
            if self.projection.await_position(position, deadline).await.is_err() {
                // Also where the read model does not know the partition yet.
                tokio::time::sleep_until(deadline.into()).await;
            }
        }))
        .await;
    }

    async fn ask(&self, spans: &[Span]) -> sqlx::Result<BTreeMap<i32, HashSet<i64>>> {
        let column = |get: fn(&Span) -> i64| spans.iter().map(get).collect::<Vec<_>>();
        let rows: Vec<(i32, Vec<i64>)> = sqlx::query_as(ASK)
            .bind(spans.iter().map(|span| span.partition).collect::<Vec<_>>())
            .bind(column(|span| span.first))
            .bind(column(|span| span.last))
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.into_iter().map(|(partition, offsets)| (partition, offsets.into_iter().collect())).collect())
    }
}
