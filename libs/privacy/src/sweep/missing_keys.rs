//! Living users whose key is missing.
//!
//! The users are read before the keys: a create stores its key before anybody can see its user.

use domain::codec::owner;
use events_schema::UserKey;
use key_store::{Keys, Owner};
use read_model::operate::key_owners::{self, UserWithKey};
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// Users in a page.
const PAGE: i64 = 2_000;

/// How many living users have no key, including those of whom nothing is folded because it is
/// missing.
pub(super) async fn count(connection: &mut PgConnection, keys: &Keys) -> anyhow::Result<u64> {
    let mut count = 0;
    for page in key_owners::unfolded_for_key(connection).await?.chunks(usize::try_from(PAGE)?) {
        count += count_without_key(connection, keys, page).await?;
    }
    let mut after = None;
    loop {
        let page = key_owners::sealed_users(connection, after.as_ref(), PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(count) };
        after = Some(last.clone());
        count += count_without_key(connection, keys, &page).await?;
    }
}

async fn count_without_key(
    connection: &mut PgConnection,
    keys: &Keys,
    users: &[UserWithKey],
) -> anyhow::Result<u64> {
    let owners: Vec<Owner> = users.iter().map(|(user, _)| owner(user)).collect();
    let stored: HashMap<Owner, Uuid> =
        keys.stored_keys_of(&owners).await?.into_iter().map(|key| (key.owner, key.id)).collect();
    let has_key = |owner: &Owner, needed: Option<Uuid>| {
        stored.get(owner).is_some_and(|stored| needed.is_none_or(|needed| needed == *stored))
    };
    let missing = users.iter().zip(&owners).filter(|((_, needed), owner)| !has_key(owner, *needed));
    let missing: Vec<&UserKey> = missing.map(|((user, _), _)| user).collect();
    if missing.is_empty() {
        return Ok(0);
    }
    // A user who was deleted since the page was read has no key any more.
    Ok(u64::try_from(key_owners::count_not_deleted(connection, &missing).await?)?)
}
