//! Living users whose key is not there. The users are read first and then the keys: a create has its key in the store before anybody sees its
//! user.

use domain::codec::owner;
use events_schema::{ReasonCode, UserKey};
use key_store::{Keys, Owner};
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// Users that are asked about at once.
const PAGE: i64 = 2_000;

/// A user with the id of the key that is needed; none: any key of theirs, since nothing of them could be read.
type Needy = (UserKey, Option<Uuid>);
type Row = (String, Uuid, Option<Uuid>);

/// How many living users have no key, those whose events wait for one among them.
pub(super) async fn count(connection: &mut PgConnection, keys: &Keys) -> anyhow::Result<u64> {
    let mut count = 0;
    for page in waiting(connection).await?.chunks(usize::try_from(PAGE)?) {
        count += without_key(connection, keys, page).await?;
    }
    let mut after = None;
    loop {
        let page = sealed(connection, after.as_ref()).await?;
        let Some((last, _)) = page.last() else { return Ok(count) };
        after = Some(last.clone());
        count += without_key(connection, keys, &page).await?;
    }
}

/// The next users of whom something is folded and sealed.
async fn sealed(connection: &mut PgConnection, after: Option<&UserKey>) -> anyhow::Result<Vec<Needy>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT tenant_id, id, key_id FROM live.users WHERE (tenant_id, id) > ($1, $2) AND key_id IS NOT NULL \
         ORDER BY tenant_id, id LIMIT $3",
    )
    .bind(after.map_or("", |user| user.tenant.as_str()))
    .bind(after.map_or(Uuid::nil(), |user| user.user))
    .bind(PAGE)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(needy).collect()
}

/// The users of whom nothing is folded for want of a key.
async fn waiting(connection: &mut PgConnection) -> anyhow::Result<Vec<Needy>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT DISTINCT d.tenant_id, d.user_id, NULL::uuid FROM live.dead_letters d \
         WHERE d.reason = $1 AND d.tenant_id IS NOT NULL AND d.user_id IS NOT NULL \
             AND NOT EXISTS (SELECT FROM live.users u WHERE u.tenant_id = d.tenant_id AND u.id = d.user_id AND u.key_id IS NOT NULL)",
    )
    .bind(ReasonCode::KeyMissing.as_str())
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(needy).collect()
}

fn needy((tenant, user, key): Row) -> anyhow::Result<Needy> {
    Ok((UserKey { tenant: tenant.parse()?, user }, key))
}

async fn without_key(connection: &mut PgConnection, keys: &Keys, users: &[Needy]) -> anyhow::Result<u64> {
    let owners: Vec<Owner> = users.iter().map(|(user, _)| owner(user)).collect();
    let held: HashMap<Owner, Uuid> =
        keys.stored_keys_of(&owners).await?.into_iter().map(|held| (held.owner, held.id)).collect();
    let is_there = |owner: &Owner, needed: Option<Uuid>| {
        held.get(owner).is_some_and(|held| needed.is_none_or(|needed| needed == *held))
    };
    let needs = users.iter().zip(&owners);
    let missing: Vec<&Owner> =
        needs.filter(|((_, needed), owner)| !is_there(owner, *needed)).map(|(_, owner)| owner).collect();
    if missing.is_empty() { Ok(0) } else { not_deleted(connection, &missing).await }
}

/// How many of these are not deleted: who was, between the two questions, has no key.
async fn not_deleted(connection: &mut PgConnection, users: &[&Owner]) -> anyhow::Result<u64> {
    let (tenants, ids): (Vec<&str>, Vec<Uuid>) =
        users.iter().map(|user| (user.tenant.as_str(), user.id)).unzip();
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM unnest($1::text[], $2::uuid[]) k(tenant_id, id) \
         WHERE NOT EXISTS (SELECT FROM live.tombstones t WHERE t.tenant_id = ANY (ARRAY[k.tenant_id]) AND t.id = k.id)",
    )
    .bind(tenants)
    .bind(ids)
    .fetch_one(connection)
    .await?;
    Ok(u64::try_from(count)?)
}
