//! Requests to repair one user: written by the operator's program, carried out by the projector that
//! owns the user's partition.

use events_schema::{Partition, Topic, UserKey};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

/// An open request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairRequest {
    /// The row's id.
    pub id: i64,
    /// The user.
    pub user: UserKey,
    /// The user's partition.
    pub partition: i32,
}

/// How far the log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RepairProgress {
    /// Offsets that were read.
    pub done: u64,
    /// Offsets to read.
    pub total: u64,
}

/// What the log makes of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FoldedUser {
    /// The user exists.
    Present,
    /// The user was deleted.
    Deleted,
    /// No event of the user has taken effect.
    Unknown,
}

/// The offsets at which reading began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Beginning {
    /// In the user's partition of `users.events`.
    pub users: i64,
    /// In the same partition of `users.credentials`.
    pub credentials: i64,
    /// Whether a later offset was tried before, at which the user's events did not begin.
    pub fell_back: bool,
}

/// The result of comparing one user with the log, and of the repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Repair {
    /// What the log makes of the user.
    pub user: FoldedUser,
    /// The user's partition.
    pub partition: i32,
    /// Where reading began.
    pub began_at: Beginning,
    /// Whether events of the user can't be opened because the user's data key is missing.
    #[serde(default, rename = "keyMissing")]
    pub is_key_missing: bool,
    /// Records of the user.
    pub records: u64,
    /// The fields that differ from the log, without values.
    pub differences: Vec<String>,
    /// Records of the user that remain dead letters.
    pub waiting: usize,
    /// Whether the differences were repaired.
    pub repaired: bool,
    /// Why nothing can be repaired.
    pub refused: Option<String>,
}

/// The open requests for these partitions, oldest first.
///
/// # Errors
/// The query failed.
pub async fn open<'p>(
    pool: &PgPool,
    owned: impl Iterator<Item = &'p Partition>,
) -> sqlx::Result<Vec<RepairRequest>> {
    let partitions: Vec<i32> = owned.filter(|(topic, _)| *topic == Topic::Users).map(|(_, p)| *p).collect();
    let rows: Vec<(i64, String, Uuid, i32)> = sqlx::query_as(
        "SELECT id, tenant_id, user_id, partition FROM rollcall.repairs \
         WHERE report IS NULL AND partition = ANY($1) ORDER BY id LIMIT 16",
    )
    .bind(partitions)
    .fetch_all(pool)
    .await?;
    let request = |(id, tenant, user, partition): (_, String, _, _)| {
        Some(RepairRequest { id, user: UserKey { tenant: tenant.parse().ok()?, user }, partition })
    };
    Ok(rows.into_iter().filter_map(request).collect())
}

/// Writes a request and returns its id. Requests that were answered more than a day ago go.
///
/// # Errors
/// A statement failed.
pub async fn insert(pool: &PgPool, user: &UserKey, partition: i32) -> sqlx::Result<i64> {
    let delete = "DELETE FROM rollcall.repairs WHERE done_at < now() - interval '1 day'";
    sqlx::query(delete).execute(pool).await?;
    sqlx::query_scalar(
        "INSERT INTO rollcall.repairs (tenant_id, user_id, partition) VALUES ($1, $2, $3) RETURNING id",
    )
    .bind(user.tenant.as_str())
    .bind(user.user)
    .bind(partition)
    .fetch_one(pool)
    .await
}

/// Progress and result of a request; `None` if there is no such request.
///
/// # Errors
/// The query failed.
pub async fn state(pool: &PgPool, id: i64) -> sqlx::Result<Option<(Option<RepairProgress>, Option<Repair>)>> {
    type Row = (Option<Json<RepairProgress>>, Option<Json<Repair>>);
    let row: Option<Row> = sqlx::query_as("SELECT progress, report FROM rollcall.repairs WHERE id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await?;
    Ok(row.map(|(progress, report)| {
        (progress.map(|Json(progress)| progress), report.map(|Json(report)| report))
    }))
}

/// Records how far the log is read.
///
/// # Errors
/// The statement failed.
pub async fn note_progress(pool: &PgPool, id: i64, progress: RepairProgress) -> sqlx::Result<()> {
    let note = sqlx::query("UPDATE rollcall.repairs SET progress = $2 WHERE id = $1 AND report IS NULL");
    note.bind(id).bind(Json(progress)).execute(pool).await.map(drop)
}

/// Answers a request, and returns whether it was still open.
///
/// # Errors
/// The statement failed.
pub async fn answer(connection: &mut PgConnection, id: i64, report: &Repair) -> sqlx::Result<bool> {
    let answer = sqlx::query(
        "UPDATE rollcall.repairs SET report = $2, done_at = now() WHERE id = $1 AND report IS NULL",
    );
    Ok(answer.bind(id).bind(Json(report)).execute(connection).await?.rows_affected() == 1)
}

/// Withdraws a request that is still open, and returns whether it was.
///
/// # Errors
/// The statement failed.
pub async fn withdraw(pool: &PgPool, id: i64) -> sqlx::Result<bool> {
    let withdraw = "DELETE FROM rollcall.repairs WHERE id = $1 AND report IS NULL";
    Ok(sqlx::query(withdraw).bind(id).execute(pool).await?.rows_affected() > 0)
}
