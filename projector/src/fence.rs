//! The fence: who may move a checkpoint. Whoever takes a partition over bumps its epoch, and from then on no statement of an
//! earlier owner has any effect.

use crate::{effects::Span, instance};
use anyhow::Context as _;
use events_schema::{Partition, Topic};
use read_model::announcement::CHANNEL;
use sqlx::{PgConnection, PgPool};
use std::collections::{BTreeMap, HashMap};

/// SQLSTATE that `rollcall.fence` raises.
pub const FENCED: &str = "RC001";

/// A checkpoint as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The first offset that is not folded yet.
    pub next_offset: i64,
    /// Its owner's epoch.
    pub epoch: i64,
    /// How often rows were changed behind it.
    pub turn: i64,
}

/// One statement, so that what is announced was true when it was announced. Nothing in it has to outlive a crash.
const HOLD: &str = "\
WITH held AS (
    SELECT count(*) = cardinality($2::text[]) AS ours,
        count(*) FILTER (WHERE c.next_offset = o.next) = cardinality($2::text[]) AS in_place
    FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[]) o(topic, partition, epoch, next)
    JOIN rollcall.checkpoints c ON c.generation = $1 AND c.topic = o.topic AND c.partition = o.partition AND c.epoch = o.epoch
)
SELECT held.ours, held.in_place, EXISTS (SELECT FROM rollcall.pause),
    EXISTS (SELECT FROM rollcall.requests WHERE outcome IS NULL), EXISTS (SELECT FROM rollcall.erasures),
    (SELECT count(pg_notify($6, payload)) FROM unnest($7::text[]) payload WHERE held.in_place),
    set_config('synchronous_commit', 'off', true)
FROM held";

/// The epochs under which this process owns, or owned, partitions of one generation.
#[derive(Debug, Default)]
pub struct Epochs(HashMap<Partition, i64>);

/// What a takeover found.
#[derive(Debug)]
pub struct Taken {
    /// Where each partition goes on.
    pub checkpoints: BTreeMap<Partition, Checkpoint>,
    /// Whether one of them had another owner, whose leases may still live.
    pub had_another_owner: bool,
    /// Whether nothing was taken over, since the projectors are paused and the caller heeds that. Asked behind the checkpoints' locks, which a pause
    /// takes too: either it is seen here, or it closes the fence that is opened here.
    pub is_paused: bool,
}

/// What a look at the fence tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Whether the partitions are still ours.
    pub are_ours: bool,
    /// Whether each of them stands where we have folded it to. Where they are ours and don't, the read model was restored.
    pub are_in_place: bool,
    /// Whether nothing is to be folded.
    pub is_paused: bool,
    /// Whether something is to be done with dead letters, of whatever partition.
    pub is_asked: bool,
    /// Whether something is left of erasures, of whatever partition.
    pub is_erasing: bool,
}

/// What became of a commit whose answer was lost or which the fence refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was committed.
    Committed,
    /// It was not, and may be tried again.
    Open,
    /// The partitions are another's now.
    Lost,
}

type Columns = (Vec<&'static str>, Vec<i32>);

fn columns<'p>(partitions: impl IntoIterator<Item = &'p Partition>) -> Columns {
    partitions.into_iter().map(|(topic, partition)| (topic.as_str(), *partition)).unzip()
}

impl Epochs {
    /// The epoch of a partition; one that was never taken over has none that could pass.
    pub fn of(&self, partition: Partition) -> i64 {
        self.0.get(&partition).copied().unwrap_or(-1)
    }

    /// Forgets everything: another generation has other epochs.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Makes the partitions ours: those that still are keep their epoch, the others get a new one. `heeds_pause`: unless the projectors are paused.
    ///
    /// # Errors
    /// Postgres can't be asked, or a partition has no checkpoint.
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
        bump(&mut transaction, generation, &foreign, Some(instance::name())).await?;
        transaction.commit().await?;
        for partition in foreign {
            let checkpoint = checkpoints.get_mut(&partition).context("a checkpoint went")?;
            checkpoint.epoch += 1;
            self.0.insert(partition, checkpoint.epoch);
        }
        Ok(Taken { checkpoints, had_another_owner, is_paused })
    }

    /// Says of the partitions that are still ours that nobody owns them any more. The fence stays as it is.
    ///
    /// # Errors
    /// Postgres can't be asked.
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

    /// Whether all of the partitions are still ours, in the live generation, and stand at these offsets; and what operators want. If they
    /// are and do, `announcements` go to whoever listens.
    ///
    /// # Errors
    /// Postgres can't be asked.
    pub async fn hold(
        &self,
        pool: &PgPool,
        generation: i32,
        partitions: &BTreeMap<Partition, i64>,
        announcements: &[String],
    ) -> sqlx::Result<Held> {
        let (topics, numbers) = columns(partitions.keys());
        let (are_ours, are_in_place, is_paused, is_asked, is_erasing) = sqlx::query_as(HOLD)
            .bind(generation)
            .bind(topics)
            .bind(numbers)
            .bind(partitions.keys().map(|partition| self.of(*partition)).collect::<Vec<_>>())
            .bind(partitions.values().copied().collect::<Vec<_>>())
            .bind(CHANNEL)
            .bind(announcements)
            .fetch_one(pool)
            .await?;
        Ok(Held { are_ours, are_in_place, is_paused, is_asked, is_erasing })
    }

    /// What became of a commit. The rows are locked, so a commit that is still on its way on the server is waited for.
    ///
    /// # Errors
    /// Postgres can't be asked.
    pub async fn fate(
        &self,
        pool: &PgPool,
        generation: i32,
        spans: &BTreeMap<Partition, Span>,
    ) -> anyhow::Result<Fate> {
        let mut transaction = pool.begin().await?;
        let partitions: Vec<_> = spans.keys().copied().collect();
        let checkpoints = lock(&mut transaction, generation, &partitions).await?;
        transaction.rollback().await?;
        let all = |next: fn(&Span) -> i64| {
            spans.iter().all(|(partition, span)| {
                checkpoints.get(partition).is_some_and(|checkpoint| {
                    checkpoint.next_offset == next(span) && checkpoint.epoch == self.of(*partition)
                })
            })
        };
        Ok(match (all(|span| span.next), all(|span| span.from)) {
            (true, _) => Fate::Committed,
            (false, true) => Fate::Open,
            (false, false) => Fate::Lost,
        })
    }
}

/// Locks checkpoints until the transaction ends, in one order for everybody.
pub(crate) async fn lock(
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
    let row = |(topic, partition, next_offset, epoch, turn): (String, _, _, _, _)| {
        Some(((Topic::named(&topic)?, partition), Checkpoint { next_offset, epoch, turn }))
    };
    Ok(rows.into_iter().filter_map(row).collect())
}

/// Bumps epochs: their owners until now are fenced off. `owner` is who owns them from now on, if anybody does.
pub(crate) async fn bump(
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

/// Counts a change of rows behind a checkpoint: a cache that has not seen it is not level.
pub(crate) async fn turn(
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
