//! The transaction of a batch: fence, erasure, and what the author's statements change.

use super::{GenerationId, round::At};
use crate::{
    personal_tables::{self, PersonalTable},
    write::{deleted_among, ownership::FENCED},
};
use events_schema::{Timestamp, UserKey};
use service_kit::database;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// How far a batch moves a partition of `users.events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where the checkpoint has to be.
    pub from: i64,
    /// Where it is then.
    pub next: i64,
    /// Kafka's time of the last record.
    pub time: Option<Timestamp>,
}

/// How a batch moves a generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Move {
    /// The checkpoints.
    pub spans: BTreeMap<i32, Span>,
    /// Parked records that it passes.
    pub waiting: Vec<At>,
    /// Records that waited, and wait no more.
    pub done: Vec<At>,
}

/// Why a batch can't begin.
#[derive(Debug, thiserror::Error)]
pub enum Begin {
    /// Another process has moved the checkpoints, or the generation was dropped.
    #[error("another process folds this generation")]
    FencedOff,
    /// An operator has paused the projection.
    #[error("it is paused")]
    Paused,
    /// PostgreSQL.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

/// The transaction of a batch. Dropping it gives it up.
pub struct Batch(Transaction<'static, Postgres>);

/// The batch may hold a deletion back. The server ends it if this process hangs.
const LIMITS: &str = "\
SET LOCAL statement_timeout = '1s'; SET LOCAL lock_timeout = '1s'; SET LOCAL idle_in_transaction_session_timeout = '2s'";

const MOVE: &str = "\
WITH moved AS (UPDATE rollcall.projection_checkpoints c SET next_offset = s.next, record_time = coalesce(s.at, c.record_time), folded_at = now() \
    FROM unnest($3::int[], $4::bigint[], $5::bigint[], $6::timestamptz[]) s(partition, expected, next, at) \
    WHERE c.projection = $1 AND c.generation = $2 AND c.partition = s.partition AND c.next_offset = s.expected RETURNING 1), \
done AS (DELETE FROM rollcall.projection_waiting w USING unnest($7::int[], $8::bigint[]) d(partition, log_offset) \
    WHERE w.projection = $1 AND w.generation = $2 AND w.partition = d.partition AND w.log_offset = d.log_offset RETURNING 1) \
SELECT rollcall.fence((SELECT count(*) FROM moved) + (SELECT count(*) FROM done), cardinality($3::int[]) + cardinality($7::int[]))";

/// Both rows stay locked until the transaction ends. A deletion locks the generation's row, and a
/// pause the projection's.
const LOCK: &str = "\
SELECT p.paused_since IS NOT NULL FROM rollcall.projections p JOIN rollcall.projection_generations g ON g.projection = p.name \
WHERE g.projection = $1 AND g.generation = $2 FOR SHARE";

const WAIT: &str = "\
INSERT INTO rollcall.projection_waiting (projection, generation, partition, log_offset) SELECT $1, $2, * FROM unnest($3::int[], $4::bigint[])";

impl Batch {
    /// Begins the transaction: moves the checkpoints, and holds deletions back until it ends. With
    /// `heeds_pause`, not while the projection is paused.
    ///
    /// # Errors
    /// See [`Begin`].
    pub async fn begin(
        pool: &PgPool,
        id: GenerationId,
        heeds_pause: bool,
        moves: &Move,
    ) -> Result<Self, Begin> {
        let mut transaction = pool.begin().await?;
        sqlx::raw_sql(LIMITS).execute(&mut *transaction).await?;
        // Before the other locks: whoever waits here for another process must hold nobody back.
        move_checkpoints(&mut transaction, id, moves).await.map_err(fenced)?;
        let lock = sqlx::query_scalar(LOCK).bind(id.projection).bind(id.generation);
        match lock.fetch_optional(&mut *transaction).await? {
            None => return Err(Begin::FencedOff),
            Some(is_paused) if is_paused && heeds_pause => return Err(Begin::Paused),
            Some(_) => {}
        }
        let (partitions, offsets): (Vec<i32>, Vec<i64>) = moves.waiting.iter().copied().unzip();
        if !partitions.is_empty() {
            let wait = sqlx::query(WAIT).bind(id.projection).bind(id.generation);
            wait.bind(partitions).bind(offsets).execute(&mut *transaction).await?;
        }
        Ok(Self(transaction))
    }

    /// Those of these users whom the live generation of the users has deleted. Others are not
    /// deleted before the batch ends.
    ///
    /// # Errors
    /// The query failed.
    pub async fn deleted_among(&mut self, users: BTreeSet<&UserKey>) -> sqlx::Result<BTreeSet<UserKey>> {
        if users.is_empty() {
            return Ok(BTreeSet::new());
        }
        // Whatever the statistics say. The author's statements are planned as usual.
        database::plan_by_key(&mut self.0).await?;
        let deleted = deleted_among(&mut self.0, users).await?;
        database::plan_as_usual(&mut self.0).await?;
        Ok(deleted)
    }

    /// Deletes the rows of these users from personal tables of the generation. Their deletion has done
    /// it, unless a projector of an earlier release folded it, which does not know these tables.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn forget(
        &mut self,
        id: GenerationId,
        tables: &[&str],
        users: &BTreeSet<&UserKey>,
    ) -> sqlx::Result<()> {
        let (tenants, ids): (Vec<&str>, Vec<Uuid>) =
            users.iter().map(|user| (user.tenant.as_str(), user.user)).unzip();
        for table in tables.iter().filter(|_| !ids.is_empty()) {
            let table = PersonalTable::of(&id.schema(), table);
            personal_tables::delete(&mut self.0, &table, &tenants, &ids).await?;
        }
        Ok(())
    }

    /// The connection, for the author's statements.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.0
    }

    /// Commits everything.
    ///
    /// # Errors
    /// The commit failed, or its answer was lost: then it may have been committed all the same, and
    /// the checkpoints tell.
    pub async fn commit(self) -> sqlx::Result<()> {
        self.0.commit().await
    }

    /// Gives everything up.
    ///
    /// # Errors
    /// PostgreSQL can't be reached any more.
    pub async fn rollback(self) -> sqlx::Result<()> {
        self.0.rollback().await
    }
}

async fn move_checkpoints(connection: &mut PgConnection, id: GenerationId, moves: &Move) -> sqlx::Result<()> {
    let spans = || moves.spans.values();
    let (done_partitions, done_offsets): (Vec<i32>, Vec<i64>) = moves.done.iter().copied().unzip();
    sqlx::query(MOVE)
        .bind(id.projection)
        .bind(id.generation)
        .bind(moves.spans.keys().copied().collect::<Vec<_>>())
        .bind(spans().map(|span| span.from).collect::<Vec<_>>())
        .bind(spans().map(|span| span.next).collect::<Vec<_>>())
        .bind(spans().map(|span| span.time.map(Timestamp::get)).collect::<Vec<_>>())
        .bind(done_partitions)
        .bind(done_offsets)
        .execute(connection)
        .await
        .map(drop)
}

fn fenced(error: sqlx::Error) -> Begin {
    let code = error.as_database_error().and_then(|error| error.code());
    if code.as_deref() == Some(FENCED) { Begin::FencedOff } else { error.into() }
}
