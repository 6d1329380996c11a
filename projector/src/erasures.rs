//! Finishes erasures: destroys keys in another database, and invalidates bodies in a cache that did
//! not answer. A commit leaves these steps behind because it can't do them itself.

use crate::migrate::deployment;
use events_schema::UserKey;
use key_store::{KeysError, Owner};
use read_model::write::{
    Cache, Store, VersionsToInvalidate,
    erasures::{self, CachedUser, ErasureStep, MAX_STEPS},
};
use service_kit::{errors, failpoint};
use sqlx::PgPool;
use std::collections::BTreeSet;

/// Does the pending steps that can be done now, and returns how many are left. A failure of one
/// kind of step does not keep the other kind waiting.
pub(crate) async fn finish(
    store: &Store,
    cache: &mut Cache,
    owned: &BTreeSet<i32>,
    partition_count: u32,
) -> anyhow::Result<i64> {
    let keys = erasures::keys(&store.pool).await?;
    if let Err(error) = destroy_keys(store, &keys).await {
        tracing::warn!(
            error = errors::describe_error(error.as_ref()),
            "keys of deleted users are not destroyed yet, retrying"
        );
    }
    let partition = |key: &UserKey| i32::try_from(key.partition(partition_count)).unwrap_or(-1);
    // Only the owner of a partition writes its cache.
    let ours = cached_users(&store.pool, |key| owned.contains(&partition(key))).await?;
    let mut versions = VersionsToInvalidate::new();
    for user in &ours {
        versions.entry(partition(&user.key)).or_default().push((user.key.to_string(), user.version));
    }
    if !versions.is_empty() && cache.invalidate(&versions).await.is_some() {
        erasures::delete(&store.pool, ours.iter().map(|user| &user.key), ErasureStep::Cache).await?;
    }
    Ok(erasures::count(&store.pool).await?)
}

/// The users of our partitions whose bodies are to be invalidated. Steps of other instances are
/// skipped, so that they keep none of ours waiting.
async fn cached_users(pool: &PgPool, is_ours: impl Fn(&UserKey) -> bool) -> anyhow::Result<Vec<CachedUser>> {
    let (mut ours, mut after) = (Vec::new(), None);
    while ours.len() < MAX_STEPS {
        let page = erasures::cached_users(pool, after.as_ref()).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        ours.extend(page.into_iter().filter(|user| is_ours(&user.key)));
    }
    Ok(ours)
}

async fn destroy_keys(store: &Store, users: &[UserKey]) -> anyhow::Result<()> {
    if users.is_empty() {
        return Ok(());
    }
    failpoint::hit("erase.pending");
    // The key store of another deployment may have keys with the same names.
    let mut connection = store.pool.acquire().await?;
    deployment::check(&mut connection, &store.keys).await?;
    drop(connection);
    let owners: Vec<Owner> = users.iter().map(domain::codec::owner).collect();
    store.keys.destroy(&owners).await.map_err(|error: KeysError| anyhow::anyhow!("{error}"))?;
    failpoint::hit("erase.worked_off");
    Ok(erasures::delete(&store.pool, users.iter(), ErasureStep::Key).await?)
}
