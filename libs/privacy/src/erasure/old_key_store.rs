//! An old key store that was left behind in the read model's database.

use super::report::OldKeyStoreScan;
use anyhow::Context as _;
use events_schema::UserKey;
use key_store::{OldKeyStore, Owner, StoredKey};
use service_kit::settings::Settings;
use std::collections::HashMap;
use uuid::Uuid;

/// The place, as findings name it.
pub(super) const PLACE: &str = "the old key store in the read model's database";

/// The old key store, if there is one.
async fn find(settings: &Settings) -> anyhow::Result<Option<OldKeyStore>> {
    OldKeyStore::find(settings)
        .await
        .context("can't find out whether an old key store is in the read model's database")
}

/// Counts its keys and finds the user's own. `None` if there is no old key store.
///
/// # Errors
/// It can't be read.
pub(super) async fn scan(
    settings: &Settings,
    owner: &Owner,
) -> anyhow::Result<Option<(OldKeyStoreScan, Option<StoredKey>)>> {
    let Some(old) = find(settings).await? else { return Ok(None) };
    let own = old.of(owner).await.context(PLACE)?;
    let keys = old.count().await.context(PLACE)?;
    Ok(Some((OldKeyStoreScan { keys, is_there: own.is_some() }, own)))
}

/// The ids of its keys with their users. `None` if there is no old key store.
///
/// # Errors
/// It can't be read.
pub(super) async fn all(settings: &Settings) -> anyhow::Result<Option<HashMap<Uuid, UserKey>>> {
    let Some(old) = find(settings).await? else { return Ok(None) };
    let (mut keys, mut after) = (HashMap::new(), None);
    loop {
        let page = old.page(after.as_ref()).await.context(PLACE)?;
        let Some(last) = page.last() else { return Ok(Some(keys)) };
        after = Some(last.owner.clone());
        let user = |owner: Owner| UserKey { tenant: owner.tenant, user: owner.id };
        keys.extend(page.into_iter().map(|key| (key.id, user(key.owner))));
    }
}
