//! How a process that caches keys learns which ones are destroyed, and confirms that it has evicted them.
//!
//! It is entered in `caches` before it keeps its first key, so whoever destroys one finds it there. Whoever destroys a key waits until each
//! of these processes has struck itself off `dropping`, or has not renewed its entry for a whole lease. A process that could not renew in
//! that time has stopped using what it kept, by its own clock.
//!
//! A process strikes itself off once it has evicted the key and no write or batch of its own uses it any more. A use that takes longer than
//! a lease is not waited for: one stuck write must not hold up every deletion of its user.

use super::{Owner, cache::Cache};
use service_kit::database::answered;
use sqlx::{
    PgConnection, PgPool,
    postgres::{PgListener, PgPoolOptions},
};
use std::{
    sync::Weak,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use uuid::Uuid;

/// The channel on which destroyed keys are named.
const CHANNEL: &str = "rollcall_keys";
/// How long an entry counts after it was renewed.
pub(super) const LEASE: Duration = Duration::from_secs(3);
/// How much earlier a process stops to believe in its own: clocks need not agree on how long a second is.
const MARGIN: Duration = Duration::from_millis(500);
/// How often it is renewed.
const RENEW: Duration = Duration::from_millis(800);
/// For one answer of the key store.
const ANSWER: Duration = Duration::from_secs(2);
/// How often to check whether an evicted key is still in use.
const IN_USE: Duration = Duration::from_millis(5);
/// How long to leave a database alone that just refused.
const PAUSE: Duration = Duration::from_millis(500);
/// Entries of processes that are gone are kept that long.
const GONE: &str = "1 hour";

/// Keeps a cache entered as long as it is there and not told to stop.
pub(super) async fn hold(cache: Weak<Cache>, pool: PgPool, mut stop: watch::Receiver<bool>) {
    let me = Uuid::new_v4();
    while cache.strong_count() > 0 {
        let stopped = async { stop.wait_for(|stop| *stop).await.map(drop) };
        let kept = tokio::select! {
            biased;
            _ = stopped => {
                let _ = answered(ANSWER, leave(&pool, me)).await;
                return;
            }
            kept = keep_once(&cache, &pool, me) => kept,
        };
        if let Err(error) = kept {
            tracing::debug!(%error, "data keys are not kept in memory: the key store does not answer");
        }
        if let Some(cache) = cache.upgrade() {
            cache.forget();
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn keep_once(cache: &Weak<Cache>, pool: &PgPool, me: Uuid) -> sqlx::Result<()> {
    // Of its own, one to hear and one to say, so that an entry is renewed however many requests wait for a connection.
    let own = PgPoolOptions::new().max_connections(2).acquire_timeout(ANSWER);
    let pool = &own.connect_lazy_with((*pool.connect_options()).clone());
    let mut listener = answered(ANSWER, PgListener::connect_with(pool)).await?;
    // A lost connection ends this entry at once. To connect again inside of `try_recv`, which is cancelled by the branches beside it, could
    // hide the loss, and what was named meanwhile.
    listener.eager_reconnect(false);
    answered(ANSWER, listener.listen(CHANNEL)).await?;
    let entered = Instant::now();
    let mut in_use = PendingEvictions::new(answered(ANSWER, enter(pool, me)).await?);
    let Some(there) = cache.upgrade() else { return Ok(()) };
    there.valid_until(entered + LEASE - MARGIN);
    drop(there);
    let mut renew = tokio::time::interval(RENEW);
    loop {
        tokio::select! {
            heard = listener.try_recv() => {
                let (Some(first), Some(cache)) = (heard?, cache.upgrade()) else { return Ok(()) };
                let mut named = vec![first];
                while let Some(more) = listener.next_buffered() {
                    named.push(more);
                }
                let owners: Vec<Owner> = named.iter().filter_map(|named| owner(named.payload())).collect();
                cache.drop_keys(&owners);
                in_use.add(owners);
                in_use.acknowledge(pool, me, &cache).await?;
            }
            () = tokio::time::sleep(IN_USE), if !in_use.0.is_empty() => {
                let Some(cache) = cache.upgrade() else { return Ok(()) };
                in_use.acknowledge(pool, me, &cache).await?;
            }
            _ = renew.tick() => {
                let began = Instant::now();
                let is_there = answered(ANSWER, renewed(pool, me)).await?;
                let Some(cache) = cache.upgrade() else { return Ok(()) };
                if !is_there {
                    return Ok(());
                }
                cache.valid_until(began + LEASE - MARGIN);
            }
        }
    }
}

/// Owners whose keys are destroyed and evicted here but not confirmed yet, and since when.
struct PendingEvictions(Vec<(Owner, Instant)>);

impl PendingEvictions {
    fn new(owners: Vec<Owner>) -> Self {
        let mut pending = Self(Vec::new());
        pending.add(owners);
        pending
    }

    fn add(&mut self, owners: Vec<Owner>) {
        let now = Instant::now();
        self.0.extend(owners.into_iter().map(|owner| (owner, now)));
    }

    /// Takes out those whose keys nobody in this process uses any more, or for a whole lease.
    fn free(&mut self, cache: &Cache, now: Instant) -> Vec<Owner> {
        let (mut free, mut late) = (Vec::new(), 0_u32);
        self.0.retain(|(owner, since)| {
            let is_free = cache.is_free(owner);
            let is_late = now.saturating_duration_since(*since) >= LEASE;
            if is_free || is_late {
                late += u32::from(!is_free);
                free.push(owner.clone());
            }
            !is_free && !is_late
        });
        if late > 0 {
            tracing::warn!(
                keys = late,
                "destroyed keys are still in use by slow writes; they are not waited for"
            );
        }
        free
    }

    async fn acknowledge(&mut self, pool: &PgPool, me: Uuid, cache: &Cache) -> sqlx::Result<()> {
        let free = self.free(cache, Instant::now());
        if free.is_empty() { Ok(()) } else { answered(ANSWER, acknowledge(pool, me, &free)).await }
    }
}

fn owner(payload: &str) -> Option<Owner> {
    let (tenant, id) = payload.split_once('/')?;
    Some(Owner { tenant: tenant.parse().ok()?, id: id.parse().ok()? })
}

/// Enters a cache that holds nothing. The lock waits for everybody who is destroying keys without having seen the entry: what they
/// destroy can't be found in the store any more. Gives the owners that an entry of before had not struck itself off: their keys may be in use.
async fn enter(pool: &PgPool, me: Uuid) -> sqlx::Result<Vec<Owner>> {
    let mut transaction = pool.begin().await?;
    sqlx::query("LOCK TABLE rollcall_keys.caches IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await?;
    let gone = format!("DELETE FROM rollcall_keys.caches WHERE renewed_at < now() - interval '{GONE}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(gone)).execute(&mut *transaction).await?;
    let left = dropping(&mut transaction, me).await?;
    sqlx::query(
        "INSERT INTO rollcall_keys.caches (id, renewed_at) VALUES ($1, clock_timestamp()) \
         ON CONFLICT (id) DO UPDATE SET renewed_at = clock_timestamp()",
    )
    .bind(me)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(left)
}

async fn dropping(connection: &mut PgConnection, me: Uuid) -> sqlx::Result<Vec<Owner>> {
    let select = "SELECT tenant_id, owner_id FROM rollcall_keys.dropping WHERE cache_id = $1";
    let rows: Vec<(String, Uuid)> = sqlx::query_as(select).bind(me).fetch_all(connection).await?;
    let owner = |(tenant, id): (String, Uuid)| Some(Owner { tenant: tenant.parse().ok()?, id });
    Ok(rows.into_iter().filter_map(owner).collect())
}

async fn acknowledge(pool: &PgPool, me: Uuid, owners: &[Owner]) -> sqlx::Result<()> {
    let (tenants, ids): (Vec<_>, Vec<_>) =
        owners.iter().map(|owner| (owner.tenant.as_str(), owner.id)).unzip();
    let delete = "DELETE FROM rollcall_keys.dropping d USING unnest($2::text[], $3::uuid[]) o(tenant_id, owner_id) \
         WHERE d.cache_id = $1 AND d.tenant_id = ANY (ARRAY[o.tenant_id]) AND d.owner_id = o.owner_id";
    sqlx::query(delete).bind(me).bind(tenants).bind(ids).execute(pool).await.map(drop)
}

async fn renewed(pool: &PgPool, me: Uuid) -> sqlx::Result<bool> {
    let update = "UPDATE rollcall_keys.caches SET renewed_at = clock_timestamp() WHERE id = $1";
    sqlx::query(update).bind(me).execute(pool).await.map(|done| done.rows_affected() == 1)
}

async fn leave(pool: &PgPool, me: Uuid) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM rollcall_keys.caches WHERE id = $1").bind(me).execute(pool).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_use_is_waited_for_but_no_longer_than_a_lease() {
        let owner = |n: u128| Owner { tenant: "t".parse().unwrap(), id: Uuid::from_u128(n) };
        let cache = Cache::default();
        let (short, stuck) = (cache.note_use(&owner(1)), cache.note_use(&owner(2)));
        let mut pending = PendingEvictions::new(vec![owner(1), owner(2), owner(3)]);
        let now = Instant::now();
        assert_eq!(pending.free(&cache, now), [owner(3)]);
        drop(short);
        assert_eq!(pending.free(&cache, now), [owner(1)]);
        assert_eq!(pending.free(&cache, now), []);
        assert_eq!(pending.free(&cache, now + LEASE), [owner(2)]);
        assert!(pending.0.is_empty());
        drop(stuck);
    }
}
