//! A key store that was left behind in the read model's database.

use super::report::FormerLook;
use anyhow::Context as _;
use events_schema::UserKey;
use key_store::{OldKeyStore, Owner, StoredKey};
use service_kit::settings::Settings;
use std::collections::HashMap;
use uuid::Uuid;

/// Where it is, in words.
pub(super) const PLACE: &str = "the former key store in the read model's database";

/// The store, if there is one.
async fn find(settings: &Settings) -> anyhow::Result<Option<OldKeyStore>> {
    OldKeyStore::find(settings)
        .await
        .context("it can't be told whether a former key store is in the read model's database")
}

/// What it holds, and the user's key in it.
///
/// # Errors
/// It can't be looked at.
pub(super) async fn look(
    settings: &Settings,
    owner: &Owner,
) -> anyhow::Result<Option<(FormerLook, Option<StoredKey>)>> {
    let Some(former) = find(settings).await? else { return Ok(None) };
    let own = former.of(owner).await.context(PLACE)?;
    let keys = former.count().await.context(PLACE)?;
    Ok(Some((FormerLook { keys, is_there: own.is_some() }, own)))
}

/// The ids of the keys in it with their users; `None`: there is no such store.
///
/// # Errors
/// It can't be looked at.
pub(super) async fn all(settings: &Settings) -> anyhow::Result<Option<HashMap<Uuid, UserKey>>> {
    let Some(former) = find(settings).await? else { return Ok(None) };
    let (mut ids, mut after) = (HashMap::new(), None);
    loop {
        let page = former.page(after.as_ref()).await.context(PLACE)?;
        let Some(last) = page.last() else { return Ok(Some(ids)) };
        after = Some(last.owner.clone());
        let user = |owner: Owner| UserKey { tenant: owner.tenant, user: owner.id };
        ids.extend(page.into_iter().map(|held| (held.id, user(held.owner))));
    }
}
