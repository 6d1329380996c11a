//! How far the live generation is folded.

use sqlx::{PgPool, postgres::PgListener};

/// How far one partition of the live generation is folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) generation: i32,
    /// How many promotions there were up to that of the generation. Only a restored database counts
    /// backwards.
    pub(crate) promotion: i64,
    /// Which log the generation is folded from.
    pub(crate) log_epoch: i32,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// The first offset that is not folded.
    pub(crate) next_offset: i64,
}

type Row = (i32, i64, i32, String, i32, i64);

impl From<Row> for Checkpoint {
    fn from((generation, promotion, log_epoch, topic, partition, next_offset): Row) -> Self {
        Self { generation, promotion, log_epoch, topic, partition, next_offset }
    }
}

impl Checkpoint {
    /// Whether it is one of the topic of user events.
    pub(crate) fn is_of_users(&self) -> bool {
        self.topic == "users"
    }
}

/// All checkpoints of the live generation, read on the connection that listens.
pub(crate) async fn all(listener: &mut PgListener) -> sqlx::Result<Vec<Checkpoint>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT generation, promotion, log_epoch, topic, partition, next_offset FROM live.checkpoints",
    )
    .fetch_all(listener)
    .await?;
    Ok(rows.into_iter().map(Checkpoint::from).collect())
}

/// The checkpoints of the topic of user events.
pub(crate) async fn of_users(pool: &PgPool) -> sqlx::Result<Vec<Checkpoint>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT generation, promotion, log_epoch, topic, partition, next_offset FROM live.checkpoints WHERE topic = 'users'",
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Checkpoint::from).collect())
}
