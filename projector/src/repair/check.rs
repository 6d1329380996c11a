//! Comparing a user with the log. Reads only, and needs no projector.

use super::{LogReader, Repair, RepairProgress, report::Reading};
use event_log::{identity, log_ends};
use events_schema::UserKey;
use key_store::Keys;
use read_model::{cache::peek::cached_body, write::Store};
use service_kit::settings::Settings;
use sqlx::Executor as _;

/// Compares what the live generation and the cache hold of a user with the log.
///
/// # Errors
/// The log is not the one that was folded, or a server can't be asked.
pub async fn check_user(
    settings: &Settings,
    user: &UserKey,
    mut progress: impl FnMut(RepairProgress),
) -> anyhow::Result<Repair> {
    identity::check_log(settings).await?;
    let pool = read_model::pool(settings)?;
    let store = Store::live(pool.clone(), Keys::open(settings)?).await?;
    let partition_count = log_ends::partitions(settings).await?;
    let partition = i32::try_from(user.partition(partition_count))?;
    let reader = LogReader { settings: settings.clone(), store: store.clone(), partition_count };
    let folded = store.next_offsets(&mut *pool.acquire().await?, partition).await?;
    let fold = reader.read(None, user, &folded, &mut progress).await?;
    // Before the snapshot, so that no cached body is newer than the rows.
    let cached = cached_body(settings, store.generation, partition, user).await;
    let mut snapshot = pool.begin().await?;
    snapshot.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let folded = store.next_offsets(&mut snapshot, partition).await?;
    let fold = reader.read(Some(fold), user, &folded, &mut progress).await?;
    let reading = Reading::of(&fold);
    let folded = fold.finish();
    let comparison = store.compare(&mut snapshot, &folded, cached.as_ref()).await?;
    snapshot.rollback().await?;
    Ok(reading.report(&folded, &comparison))
}
