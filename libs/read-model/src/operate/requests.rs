//! Requests about dead letters: written by the operator's program, answered by the projector that
//! owns the partition.

use events_schema::{Partition, Place, Reason, Topic};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};

/// Requests that a projector takes at once, at most.
pub const MAX_AT_ONCE: usize = 16;

/// What to do with a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Fold the user's queue again.
    Retry,
    /// Skip the record permanently, in rebuilds too, then fold the queue again.
    Discard,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Discard => "discard",
        }
    }
}

/// An open request. It names one dead letter, and with it the queue that the letter is in.
#[derive(Debug, Clone)]
pub struct Request {
    /// The row's id.
    pub id: i64,
    /// What to do.
    pub kind: Kind,
    /// The dead letter's topic.
    pub topic: Topic,
    /// The dead letter's partition.
    pub partition: i32,
    /// The dead letter's offset.
    pub offset: i64,
}

impl Request {
    /// The dead letter's place in the log.
    #[must_use]
    pub fn place(&self) -> Place {
        ((self.topic, self.partition), self.offset)
    }

    /// Whether the record is to be skipped.
    #[must_use]
    pub fn is_discard(&self) -> bool {
        self.kind == Kind::Discard
    }
}

/// The result of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Dead letters that were resolved.
    pub settled: usize,
    /// Dead letters of the same user that remain.
    pub left: usize,
    /// The code of the first one that remains.
    pub reason: Option<String>,
    /// The text for that code.
    #[serde(default)]
    pub detail: Option<String>,
}

impl Outcome {
    /// A result with these counts, and the reason of the first letter that remains.
    #[must_use]
    pub fn new(settled: usize, left: usize, reason: Option<&Reason>) -> Self {
        let (code, detail) = reason.map(|reason| (reason.code.to_string(), reason.to_string())).unzip();
        Self { settled, left, reason: code, detail }
    }
}

/// The open requests for these partitions, oldest first.
///
/// # Errors
/// The query failed.
pub async fn open<'p>(
    pool: &PgPool,
    owned: impl Iterator<Item = &'p Partition>,
) -> sqlx::Result<Vec<Request>> {
    let partitions: Vec<i32> = owned.filter(|(topic, _)| *topic == Topic::Users).map(|(_, p)| *p).collect();
    let rows: Vec<(i64, String, String, i32, i64)> = sqlx::query_as(
        "SELECT id, kind, topic, partition, log_offset FROM rollcall.requests \
         WHERE outcome IS NULL AND partition = ANY($1) ORDER BY id LIMIT $2",
    )
    .bind(partitions)
    .bind(i64::try_from(MAX_AT_ONCE).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    let request = |(id, kind, topic, partition, offset): (_, String, String, _, _)| {
        let kind = if kind == Kind::Discard.as_str() { Kind::Discard } else { Kind::Retry };
        Some(Request { id, kind, topic: Topic::named(&topic)?, partition, offset })
    };
    Ok(rows.into_iter().filter_map(request).collect())
}

/// Writes a request and returns its id.
///
/// # Errors
/// The statement failed.
pub async fn insert(pool: &PgPool, kind: Kind, ((topic, partition), offset): Place) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "INSERT INTO rollcall.requests (kind, topic, partition, log_offset) VALUES ($1, $2, $3, $4) RETURNING id",
    )
    .bind(kind.as_str())
    .bind(topic.as_str())
    .bind(partition)
    .bind(offset)
    .fetch_one(pool)
    .await
}

/// A request's result: `None` if there is no such request, `Some(None)` while it is open.
///
/// # Errors
/// The query failed.
pub async fn outcome(pool: &PgPool, id: i64) -> sqlx::Result<Option<Option<Outcome>>> {
    let outcome: Option<Option<Json<Outcome>>> =
        sqlx::query_scalar("SELECT outcome FROM rollcall.requests WHERE id = $1")
            .bind(id)
            .fetch_optional(pool)
            .await?;
    Ok(outcome.map(|outcome| outcome.map(|Json(outcome)| outcome)))
}

/// Withdraws a request that is still open, and returns whether it was.
///
/// # Errors
/// The statement failed.
pub async fn withdraw(pool: &PgPool, id: i64) -> sqlx::Result<bool> {
    let withdraw = "DELETE FROM rollcall.requests WHERE id = $1 AND outcome IS NULL";
    Ok(sqlx::query(withdraw).bind(id).execute(pool).await?.rows_affected() > 0)
}

/// Withdraws all open requests.
///
/// # Errors
/// The statement failed.
pub async fn withdraw_all(connection: &mut PgConnection) -> sqlx::Result<()> {
    let withdraw = "DELETE FROM rollcall.requests WHERE outcome IS NULL";
    sqlx::query(withdraw).execute(connection).await.map(drop)
}

/// Deletes requests that were answered more than a day ago.
///
/// # Errors
/// The statement failed.
pub async fn delete_old(pool: &PgPool) -> sqlx::Result<()> {
    let delete = "DELETE FROM rollcall.requests WHERE done_at < now() - interval '1 day'";
    sqlx::query(delete).execute(pool).await.map(drop)
}

/// Answers a request, and returns whether it was still open.
///
/// # Errors
/// The statement failed.
pub async fn answer(
    connection: &mut PgConnection,
    request: &Request,
    outcome: &Outcome,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE rollcall.requests SET outcome = $2, done_at = now() WHERE id = $1 AND outcome IS NULL",
    );
    let done = done.bind(request.id).bind(Json(outcome)).execute(connection).await?;
    Ok(done.rows_affected() == 1)
}

/// Records that a request's record is discarded, and whom the record names: nobody, if its key is
/// not a user's.
///
/// # Errors
/// The statement failed.
pub async fn discard(connection: &mut PgConnection, request: &Request) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rollcall.discarded (log_epoch, topic, partition, log_offset, discarded_by, tenant_id, user_id, is_owner_known) \
         SELECT g.log_epoch, r.topic, r.partition, r.log_offset, r.asked_by, d.tenant_id, d.user_id, \
             coalesce(d.user_id IS NOT NULL OR position('\\x2f'::bytea IN coalesce(d.key, '')) = 0, false) \
         FROM rollcall.generations g, rollcall.requests r LEFT JOIN live.dead_letters d \
             ON d.topic = r.topic AND d.partition = r.partition AND d.log_offset = r.log_offset \
         WHERE r.id = $1 AND r.kind = 'discard' AND g.state = 'live' ON CONFLICT DO NOTHING",
    )
    .bind(request.id)
    .execute(connection)
    .await
    .map(drop)
}
