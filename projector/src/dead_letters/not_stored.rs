//! Discarding a record that can't be folded but is not stored as a dead letter: records of deleted
//! users are not stored, and of `users.credentials` only the newest are. Such a record has no effect,
//! so the live read model does not change; the operator only confirms that the case is closed.

use super::list::LetterId;
use anyhow::Context as _;
use event_log::{
    identity::{LogIdentity, LogMatch},
    log_ends,
    record::{Fact, Record},
    replay::{Step, replay},
};
use service_kit::settings::Settings;
use sqlx::PgPool;
use std::collections::BTreeMap;

/// What the live generation knows of a place: its own id, whether it has folded the place, and whether that is discarded.
type Known = (i32, bool, bool);

const KNOWN: &str = "\
SELECT g.id, EXISTS (SELECT FROM live.checkpoints c WHERE c.topic = $1 AND c.partition = $2 AND c.next_offset > $3), \
    EXISTS (SELECT FROM rollcall.discarded d WHERE d.log_epoch = g.log_epoch AND d.topic = $1 AND d.partition = $2 AND d.log_offset = $3) \
FROM rollcall.generations g WHERE g.state = 'live'";

/// Whether a record may be discarded though it is no dead letter.
///
/// # Errors
/// It may not, in words, or a store can't be asked.
pub(super) async fn check(settings: &Settings, pool: &PgPool, letter: &LetterId) -> anyhow::Result<()> {
    let known: Option<Known> = sqlx::query_as(KNOWN)
        .bind(letter.topic.as_str())
        .bind(letter.partition)
        .bind(letter.offset)
        .fetch_optional(pool)
        .await?;
    let Some((generation, is_folded, is_discarded)) = known else {
        anyhow::bail!("there is no live generation: run `rollcall migrate` first");
    };
    anyhow::ensure!(!is_discarded, "{letter} is discarded already");
    let none = || {
        format!("there is no dead letter {letter}: `rollcall dead-letters list` shows those that there are")
    };
    anyhow::ensure!(is_folded, none());
    let record = read(settings, pool, generation, letter).await?.with_context(none)?;
    anyhow::ensure!(
        matches!(record.fact, Fact::Poison(_)),
        "{letter} is no dead letter but a sound record: only what can't be folded is discarded"
    );
    Ok(())
}

/// The record in the log, which must be the one that is folded.
async fn read(
    settings: &Settings,
    pool: &PgPool,
    generation: i32,
    letter: &LetterId,
) -> anyhow::Result<Option<Record>> {
    let partitions = log_ends::partitions(settings).await?;
    let partition = (letter.topic, letter.partition);
    let ends = log_ends::ends(settings, vec![partition]).await?;
    if !ends.get(&partition).is_some_and(|ends| (ends.low..ends.high).contains(&letter.offset)) {
        return Ok(None);
    }
    let range = BTreeMap::from([(partition, letter.offset..letter.offset + 1)]);
    let record = match replay(settings, partitions, range)?.recv().await.transpose()? {
        Some(Step::Record(record)) => Some(*record),
        Some(Step::Reached(..)) | None => None,
    };
    // Asked last, it proves that what was read is of this log.
    let is_same = LogIdentity::new(settings)?.compare(pool, generation).await? == LogMatch::Same;
    anyhow::ensure!(is_same, "the log is not the one that was folded: see `rollcall projection status`");
    Ok(record)
}

/// Puts it down as discarded.
///
/// # Errors
/// Postgres can't be asked.
pub(super) async fn discard(pool: &PgPool, letter: &LetterId) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rollcall.discarded (log_epoch, topic, partition, log_offset) \
         SELECT log_epoch, $1, $2, $3 FROM rollcall.generations WHERE state = 'live' ON CONFLICT DO NOTHING",
    )
    .bind(letter.topic.as_str())
    .bind(letter.partition)
    .bind(letter.offset)
    .execute(pool)
    .await
    .map(drop)
}
