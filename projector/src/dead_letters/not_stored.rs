//! Discarding a record that can't be folded but is not stored as a dead letter: records of deleted
//! users are not stored, and of `users.credentials` only the newest are. Such a record has no
//! effect, so the live read model does not change; the operator only confirms that the case is
//! closed.

use super::LetterId;
use anyhow::Context as _;
use event_log::{
    identity::{LogIdentity, LogMatch},
    log_ends,
    record::{Fact, Record},
    replay::{Step, replay},
};
use read_model::operate::discarded::place_state;
use service_kit::settings::Settings;
use sqlx::PgPool;
use std::collections::BTreeMap;

/// Checks that a record may be discarded although it is not stored as a dead letter.
///
/// # Errors
/// It may not, or Kafka or PostgreSQL can't be asked.
pub(super) async fn check(settings: &Settings, pool: &PgPool, letter: &LetterId) -> anyhow::Result<()> {
    let state = place_state(pool, letter.place())
        .await?
        .context("there is no live generation: run `rollcall migrate` first")?;
    anyhow::ensure!(!state.is_discarded, "{letter} is discarded already");
    let none = || {
        format!("there is no dead letter {letter}: `rollcall dead-letters list` shows those that there are")
    };
    anyhow::ensure!(state.is_folded, none());
    let record = read(settings, pool, state.generation, letter).await?.with_context(none)?;
    anyhow::ensure!(
        matches!(record.fact, Fact::Poison(_)),
        "{letter} is not a dead letter: the record can be folded, and only records that can't are discarded"
    );
    Ok(())
}

/// Reads the record in the log, and checks that it is the log that was folded.
async fn read(
    settings: &Settings,
    pool: &PgPool,
    generation: i32,
    letter: &LetterId,
) -> anyhow::Result<Option<Record>> {
    let partition_count = log_ends::partitions(settings).await?;
    let partition = (letter.topic, letter.partition);
    let ends = log_ends::ends(settings, vec![partition]).await?;
    if !ends.get(&partition).is_some_and(|ends| (ends.low..ends.high).contains(&letter.offset)) {
        return Ok(None);
    }
    let range = BTreeMap::from([(partition, letter.offset..letter.offset + 1)]);
    let record = match replay(settings, partition_count, range)?.recv().await.transpose()? {
        Some(Step::Record(record)) => Some(*record),
        Some(Step::Reached(..)) | None => None,
    };
    // Asked after reading, it proves that the record is of this log.
    let is_same = LogIdentity::new(settings)?.compare(pool, generation).await? == LogMatch::Same;
    anyhow::ensure!(is_same, "the log is not the one that was folded: see `rollcall projection status`");
    Ok(record)
}
