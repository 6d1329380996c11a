//! Refuses a new key store beside a log whose events are sealed under the keys of another one.

use event_log::{
    log_ends,
    record::Fact,
    replay::{Step, replay},
};
use events_schema::Topic;
use key_store::Keys;
use read_model::operate::{checkpoints::users_next_offsets, logs};
use service_kit::settings::Settings;
use sqlx::PgPool;

/// How many of the newest records of each partition are read. Only the oldest events may not be
/// sealed.
const NEWEST: i64 = 5;

/// Checks a key store that has never been set up, if nothing is folded yet. A read model that has
/// folded the log knows whether anyone needs a key.
///
/// # Errors
/// Events in the log are sealed, or a store can't be queried.
pub(crate) async fn check(
    settings: &Settings,
    pool: &PgPool,
    keys: &Keys,
    partitions: u32,
) -> anyhow::Result<()> {
    if !keys.is_new().await? || is_anything_folded(pool).await? {
        return Ok(());
    }
    let ends = log_ends::all_ends(settings).await?;
    let users = ends.into_iter().filter(|((topic, _), _)| *topic == Topic::Users);
    let newest = users.map(|(partition, ends)| (partition, ends.low.max(ends.high - NEWEST)..ends.high));
    let newest = newest.filter(|(_, range)| !range.is_empty()).collect();
    let mut steps = replay(settings, partitions, newest)?;
    while let Some(step) = steps.recv().await {
        let Step::Record(record) = step? else { continue };
        let is_sealed = matches!(&record.fact, Fact::User(fact) if fact.event.is_sealed());
        anyhow::ensure!(
            !is_sealed,
            "the key store {} is empty, but events in the log are sealed under the keys of another one: nobody could read them. Nothing \
             was set up. Restore the key store, or point the setting (and ROLLCALL_HOME) at the right one. If it is lost for ever, begin a new \
             log with another ROLLCALL_TOPIC_PREFIX",
            if keys.is_separate() {
                "of ROLLCALL_KEYS_DATABASE_URL"
            } else {
                "in the database of DATABASE_URL"
            }
        );
    }
    Ok(())
}

async fn is_anything_folded(pool: &PgPool) -> sqlx::Result<bool> {
    let mut connection = pool.acquire().await?;
    if !logs::exist(&mut connection).await? {
        return Ok(false);
    }
    Ok(users_next_offsets(&mut connection).await?.values().any(|next| *next > 0))
}
