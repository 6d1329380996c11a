//! The steps of erasures that a commit could not reach, worked off: keys in another database, bodies in a cache that did not answer.

use crate::migrate::deployment;
use events_schema::UserKey;
use key_store::{KeysError, Owner};
use read_model::write::{Cache, Invalidations, Store};
use service_kit::failpoint;
use sqlx::PgPool;
use std::collections::BTreeSet;
use time::OffsetDateTime;
use uuid::Uuid;

/// Steps that are done in one go, at most.
const AT_ONCE: i64 = 1_000;

struct Step {
    key: UserKey,
    version: u64,
}

/// Does what can be done; says how many steps are left. What can't be done now keeps the rest from nothing: each kind of step is taken by
/// itself, keys first.
pub(crate) async fn finish(
    store: &Store,
    cache: &mut Cache,
    owned: &BTreeSet<i32>,
    partitions: u32,
) -> anyhow::Result<i64> {
    let keys = keys_left(&store.pool).await?;
    if let Err(error) = destroy_keys(store, &keys).await {
        tracing::warn!(
            error = service_kit::errors::describe_error(error.as_ref()),
            "keys of deleted users are not destroyed yet"
        );
    }
    let partition = |step: &Step| i32::try_from(step.key.partition(partitions)).unwrap_or(-1);
    // A partition's cache is written by its owner alone.
    let ours = bodies_left(&store.pool, |step| owned.contains(&partition(step))).await?;
    let mut users = Invalidations::new();
    for step in &ours {
        users.entry(partition(step)).or_default().push((step.key.to_string(), step.version));
    }
    if !users.is_empty() && cache.invalidate(&users).await.is_some() {
        done(&store.pool, &ours, "cache").await?;
    }
    Ok(sqlx::query_scalar("SELECT count(*) FROM rollcall.erasures").fetch_one(&store.pool).await?)
}

/// The users whose keys are to be destroyed, those that have waited longest.
async fn keys_left(pool: &PgPool) -> anyhow::Result<Vec<Step>> {
    let rows: Vec<(String, Uuid)> = sqlx::query_as(
        "SELECT tenant_id, user_id FROM rollcall.erasures WHERE step = 'key' ORDER BY since, tenant_id, user_id LIMIT $1",
    )
    .bind(AT_ONCE)
    .fetch_all(pool)
    .await?;
    // No key has a version.
    rows.into_iter().map(|(tenant, user)| step(tenant, user, None)).collect()
}

/// A step, with the version of the user's tombstone in the live generation.
type Row = (OffsetDateTime, String, Uuid, Option<i64>);

/// The users whose bodies are to be marked, of those that are ours: what is another's to do keeps none of them waiting.
async fn bodies_left(pool: &PgPool, is_ours: impl Fn(&Step) -> bool) -> anyhow::Result<Vec<Step>> {
    let (mut ours, mut after) = (Vec::new(), None);
    while i64::try_from(ours.len())? < AT_ONCE {
        let page = page_of_bodies(pool, after.as_ref()).await?;
        let Some((since, tenant, user, _)) = page.last() else { break };
        after = Some((*since, tenant.clone(), *user));
        for (_, tenant, user, version) in page {
            ours.extend(Some(step(tenant, user, version)?).filter(&is_ours));
        }
    }
    Ok(ours)
}

async fn page_of_bodies(
    pool: &PgPool,
    after: Option<&(OffsetDateTime, String, Uuid)>,
) -> anyhow::Result<Vec<Row>> {
    let page = sqlx::query_as(
        "SELECT e.since, e.tenant_id, e.user_id, t.version FROM rollcall.erasures e \
         LEFT JOIN live.tombstones t ON t.tenant_id = e.tenant_id AND t.id = e.user_id \
         WHERE e.step = 'cache' AND ($2::timestamptz IS NULL OR (e.since, e.tenant_id, e.user_id) > ($2, $3, $4)) \
         ORDER BY e.since, e.tenant_id, e.user_id LIMIT $1",
    );
    let page = page.bind(AT_ONCE).bind(after.map(|(since, ..)| *since));
    let page = page.bind(after.map(|(_, tenant, _)| tenant.as_str())).bind(after.map(|(.., user)| *user));
    Ok(page.fetch_all(pool).await?)
}

fn step(tenant: String, user: Uuid, version: Option<i64>) -> anyhow::Result<Step> {
    let key = UserKey { tenant: tenant.parse()?, user };
    let version = version.and_then(|version| version.try_into().ok()).unwrap_or(u64::MAX >> 12);
    Ok(Step { key, version })
}

async fn destroy_keys(store: &Store, steps: &[Step]) -> anyhow::Result<()> {
    if steps.is_empty() {
        return Ok(());
    }
    failpoint::hit("erase.pending");
    // They are this deployment's users: another's key store may have keys of the same names.
    let mut connection = store.pool.acquire().await?;
    deployment::check(&mut connection, &store.keys).await?;
    drop(connection);
    let owners: Vec<Owner> = steps.iter().map(|step| domain::codec::owner(&step.key)).collect();
    store.keys.destroy(&owners).await.map_err(|error: KeysError| anyhow::anyhow!("{error}"))?;
    failpoint::hit("erase.worked_off");
    done(&store.pool, steps, "key").await
}

async fn done(pool: &PgPool, steps: &[Step], step: &str) -> anyhow::Result<()> {
    let (tenants, users): (Vec<&str>, Vec<Uuid>) =
        steps.iter().map(|step| (step.key.tenant.as_str(), step.key.user)).unzip();
    sqlx::query(
        "DELETE FROM rollcall.erasures e USING unnest($1::text[], $2::uuid[]) d(tenant_id, user_id) \
         WHERE e.tenant_id = ANY (ARRAY[d.tenant_id]) AND e.user_id = d.user_id AND e.step = $3",
    )
    .bind(tenants)
    .bind(users)
    .bind(step)
    .execute(pool)
    .await?;
    Ok(())
}
