//! The steps of erasures that a commit could not reach, worked off: keys in another database, bodies in a cache that did not answer.

use crate::{
    migrate::deployment,
    store::{
        postgres::Store,
        redis::{Cache, Marks},
    },
};
use events_schema::UserKey;
use service_kit::{
    fault,
    keys::{KeysError, Owner},
};
use sqlx::PgPool;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Steps that are done in one go, at most.
const AT_ONCE: i64 = 1_000;

/// A step, with the version of the user's tombstone in the live generation.
type Row = (String, Uuid, String, Option<i64>);

struct Step {
    key: UserKey,
    version: u64,
}

/// Does what can be done; says how many steps are left. What can't be done now keeps the rest from nothing.
pub(crate) async fn work_off(
    store: &Store,
    cache: &mut Cache,
    owned: &BTreeSet<i32>,
    partitions: u32,
) -> anyhow::Result<i64> {
    let (keys, bodies) = pending(&store.pool).await?;
    if let Err(error) = destroy_keys(store, &keys).await {
        tracing::warn!(
            error = service_kit::chain::told(error.as_ref()),
            "keys of deleted users are not destroyed yet"
        );
    }
    // A partition's cache is written by its owner alone.
    let partition = |step: &Step| i32::try_from(step.key.partition(partitions)).unwrap_or(-1);
    let ours: Vec<Step> = bodies.into_iter().filter(|step| owned.contains(&partition(step))).collect();
    let mut marks = Marks::new();
    for step in &ours {
        marks.entry(partition(step)).or_default().push((step.key.to_string(), step.version));
    }
    if !marks.is_empty() && cache.mark(&marks).await.is_some() {
        done(&store.pool, &ours, "cache").await?;
    }
    Ok(sqlx::query_scalar("SELECT count(*) FROM rollcall.erasures").fetch_one(&store.pool).await?)
}

/// What is left to be destroyed, and what to be marked.
async fn pending(pool: &PgPool) -> anyhow::Result<(Vec<Step>, Vec<Step>)> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT e.tenant_id, e.user_id, e.step, t.version FROM rollcall.erasures e \
         LEFT JOIN live.tombstones t ON t.tenant_id = e.tenant_id AND t.id = e.user_id ORDER BY e.since LIMIT $1",
    )
    .bind(AT_ONCE)
    .fetch_all(pool)
    .await?;
    let (mut keys, mut bodies) = (Vec::new(), Vec::new());
    for (tenant, user, step, version) in rows {
        let key = UserKey { tenant: tenant.parse()?, user };
        let steps = if step == "key" { &mut keys } else { &mut bodies };
        steps.push(Step {
            key,
            version: version.and_then(|version| version.try_into().ok()).unwrap_or(u64::MAX >> 12),
        });
    }
    Ok((keys, bodies))
}

async fn destroy_keys(store: &Store, steps: &[Step]) -> anyhow::Result<()> {
    if steps.is_empty() {
        return Ok(());
    }
    fault::point("erase.pending");
    // They are this deployment's users: another's key store may have keys of the same names.
    let mut connection = store.pool.acquire().await?;
    deployment::check(&mut connection, &store.keys).await?;
    drop(connection);
    let owners: Vec<Owner> = steps.iter().map(|step| crate::opening::owner(&step.key)).collect();
    store.keys.destroy(&owners).await.map_err(|error: KeysError| anyhow::anyhow!("{error}"))?;
    fault::point("erase.worked_off");
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
