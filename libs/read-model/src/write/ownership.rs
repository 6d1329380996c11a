//! Who may move a checkpoint. Taking a partition over increments its epoch, and from then on no
//! statement of an earlier owner has an effect: this is the fence.
//!
//! A commit checks the fence in its own statement, `COMMIT` in `commit_statement.rs`. The function
//! `rollcall.fence` is in `migrations/0001_baseline.sql`. Without a commit, [`Epochs::check`] does.

mod check;

pub use check::{CommitState, FenceCheck};

use anyhow::Context as _;
use events_schema::{Partition, Topic};
use service_kit::instance;
use sqlx::{PgConnection, PgPool};
use std::collections::{BTreeMap, HashMap};

/// The SQLSTATE that `rollcall.fence` raises if a checkpoint did not move.
pub const FENCED: &str = "RC001";

/// A checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The first offset that is not folded.
    pub next_offset: i64,
    /// Its owner's epoch.
    pub epoch: i64,
    /// How often rows behind it were changed, by reprocessed dead letters.
    pub revision: i64,
}

/// The epochs under which this process took partitions of one generation over.
#[derive(Debug, Clone, Default)]
pub struct Epochs(HashMap<Partition, i64>);

/// The result of a takeover.
#[derive(Debug)]
pub struct Taken {
    /// The checkpoints of the partitions.
    pub checkpoints: BTreeMap<Partition, Checkpoint>,
    /// Whether one of them had another owner, whose leases may not have expired yet.
    pub had_another_owner: bool,
    /// Whether nothing was taken over because the projectors are paused. A pause takes the same
    /// locks: either it is seen here, or it fences off what was taken over here.
    pub is_paused: bool,
}

type Columns = (Vec<&'static str>, Vec<i32>);

fn columns<'p>(partitions: impl IntoIterator<Item = &'p Partition>) -> Columns {
    partitions.into_iter().map(|(topic, partition)| (topic.as_str(), *partition)).unzip()
}

impl Epochs {
    /// A partition's epoch. One that was never taken over has an epoch that no fence accepts.
    pub fn of(&self, partition: Partition) -> i64 {
        self.0.get(&partition).copied().unwrap_or(-1)
    }

    /// Forgets all epochs: another generation has its own.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes partitions over. Those that this process still owns keep their epoch. With
    /// `heeds_pause`, nothing is taken over while the projectors are paused.
    ///
    /// # Errors
    /// A statement failed, or a partition has no checkpoint.
    pub async fn take_over(
        &mut self,
        pool: &PgPool,
        generation: i32,
        partitions: &[Partition],
        heeds_pause: bool,
    ) -> anyhow::Result<Taken> {
        let mut transaction = pool.begin().await?;
        let mut checkpoints = lock(&mut transaction, generation, partitions).await?;
        let missing = partitions.iter().find(|partition| !checkpoints.contains_key(partition));
        anyhow::ensure!(missing.is_none(), "a partition has no checkpoint: run `rollcall migrate`");
        let foreign: Vec<_> =
            partitions.iter().copied().filter(|p| checkpoints[p].epoch != self.of(*p)).collect();
        let had_another_owner = foreign.iter().any(|partition| checkpoints[partition].epoch > 0);
        let is_paused = sqlx::query_scalar("SELECT $1 AND EXISTS (SELECT FROM rollcall.pause)");
        let is_paused = is_paused.bind(heeds_pause).fetch_one(&mut *transaction).await?;
        if is_paused {
            return Ok(Taken { checkpoints, had_another_owner, is_paused });
        }
        increment_epochs(&mut transaction, generation, &foreign, Some(instance::name())).await?;
        transaction.commit().await?;
        for partition in foreign {
            let checkpoint = checkpoints.get_mut(&partition).context("a checkpoint went")?;
            checkpoint.epoch += 1;
            self.0.insert(partition, checkpoint.epoch);
        }
        Ok(Taken { checkpoints, had_another_owner, is_paused })
    }

    /// Records that nobody owns this process' partitions any more. The fence stays as it is.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn release(&self, pool: &PgPool, generation: i32) -> sqlx::Result<()> {
        let partitions: Vec<_> = self.0.keys().copied().collect();
        let (topics, numbers) = columns(&partitions);
        sqlx::query(
            "UPDATE rollcall.checkpoints c SET owner = NULL, owned_since = NULL \
             FROM unnest($2::text[], $3::int[], $4::bigint[]) o(topic, partition, epoch) \
             WHERE c.generation = $1 AND c.topic = o.topic AND c.partition = o.partition AND c.epoch = o.epoch",
        )
        .bind(generation)
        .bind(topics)
        .bind(numbers)
        .bind(partitions.iter().map(|partition| self.of(*partition)).collect::<Vec<_>>())
        .execute(pool)
        .await
        .map(drop)
    }
}

/// Locks checkpoints until the transaction ends. The order is always the same, which rules out
/// deadlocks.
///
/// # Errors
/// The statement failed.
pub async fn lock(
    connection: &mut PgConnection,
    generation: i32,
    partitions: &[Partition],
) -> sqlx::Result<BTreeMap<Partition, Checkpoint>> {
    let (topics, numbers) = columns(partitions);
    let rows: Vec<(String, i32, i64, i64, i64)> = sqlx::query_as(
        "SELECT topic, partition, next_offset, epoch, turn FROM rollcall.checkpoints \
         WHERE generation = $1 AND (topic, partition) IN (SELECT * FROM unnest($2::text[], $3::int[])) \
         ORDER BY topic, partition FOR UPDATE",
    )
    .bind(generation)
    .bind(topics)
    .bind(numbers)
    .fetch_all(connection)
    .await?;
    let row = |(topic, partition, next_offset, epoch, revision): (String, _, _, _, _)| {
        Some(((Topic::named(&topic)?, partition), Checkpoint { next_offset, epoch, revision }))
    };
    Ok(rows.into_iter().filter_map(row).collect())
}

/// Increments epochs, which fences off the owners until now. `owner` is the new owner, if any.
///
/// # Errors
/// The statement failed.
pub async fn increment_epochs(
    connection: &mut PgConnection,
    generation: i32,
    partitions: &[Partition],
    owner: Option<&str>,
) -> sqlx::Result<()> {
    let (topics, numbers) = columns(partitions);
    sqlx::query(
        "UPDATE rollcall.checkpoints SET epoch = epoch + 1, owner = $4, owned_since = CASE WHEN $4 IS NOT NULL THEN now() END \
         WHERE generation = $1 AND (topic, partition) IN (SELECT * FROM unnest($2::text[], $3::int[]))",
    )
    .bind(generation)
    .bind(topics)
    .bind(numbers)
    .bind(owner)
    .execute(connection)
    .await
    .map(drop)
}

/// Counts a change of rows behind a checkpoint. A cache that has not seen it must be rewritten.
///
/// # Errors
/// The statement failed.
pub async fn count_revision(
    connection: &mut PgConnection,
    generation: i32,
    (topic, partition): Partition,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE rollcall.checkpoints SET turn = turn + 1 WHERE generation = $1 AND topic = $2 AND partition = $3",
    )
    .bind(generation)
    .bind(topic.as_str())
    .bind(partition)
    .execute(connection)
    .await
    .map(drop)
}
