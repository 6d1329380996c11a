//! How a process that caches keys learns which keys are destroyed, and confirms that it has evicted
//! them.
//!
//! The process adds a row to `caches` (its lease) before it caches its first key, so that anyone
//! who destroys a key sees it. The destroyer waits until each such process has removed its row from
//! `dropping`, or has not renewed its lease for its whole duration. A process that could not renew
//! in that time has stopped using its cache, by its own clock.
//!
//! A process confirms once it has evicted the key and no write or batch of its own uses it any
//! more. A use that outlasts a lease is not waited for: one stuck write must not block every
//! deletion of its user.

use super::{Owner, cache::Cache};
use service_kit::database::answered;
use sqlx::{
    PgConnection, PgPool,
    postgres::{PgListener, PgNotification, PgPoolOptions},
};
use std::{
    sync::Weak,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use uuid::Uuid;

/// The channel on which destroyed keys are announced.
const CHANNEL: &str = "rollcall_keys";
/// How long a lease is valid after its renewal.
pub(super) const LEASE: Duration = Duration::from_secs(3);
/// A process stops trusting its lease this much earlier, because clocks may run at different
/// speeds.
const SAFETY_MARGIN: Duration = Duration::from_millis(500);
/// How often the lease is renewed.
const RENEW_INTERVAL: Duration = Duration::from_millis(800);
/// How long one reply of the key store may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often to check whether an evicted key is still in use.
const RECHECK_INTERVAL: Duration = Duration::from_millis(5);
/// How long to wait after the database failed.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Leases of processes that are gone are deleted after this time.
const STALE: &str = "1 hour";

/// Keeps a lease for the cache until the cache is dropped or `stop` is cancelled.
pub(super) async fn run(cache: Weak<Cache>, pool: PgPool, mut stop: watch::Receiver<bool>) {
    let me = Uuid::new_v4();
    while cache.strong_count() > 0 {
        let stopped = async { stop.wait_for(|stop| *stop).await.map(drop) };
        let kept = tokio::select! {
            biased;
            _ = stopped => {
                let _ = answered(ANSWER_TIMEOUT, remove_lease(&pool, me)).await;
                return;
            }
            kept = hold_lease(&cache, &pool, me) => kept,
        };
        if let Err(error) = kept {
            tracing::debug!(%error, "data keys are not cached: the key store does not answer");
        }
        if let Some(cache) = cache.upgrade() {
            cache.clear();
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

async fn hold_lease(cache: &Weak<Cache>, pool: &PgPool, me: Uuid) -> sqlx::Result<()> {
    let (pool, mut listener) = connect(pool).await?;
    let inserted = Instant::now();
    let mut pending = PendingEvictions::new(answered(ANSWER_TIMEOUT, insert_lease(&pool, me)).await?);
    let Some(strong) = cache.upgrade() else { return Ok(()) };
    strong.valid_until(inserted + LEASE - SAFETY_MARGIN);
    drop(strong);
    let mut renew = tokio::time::interval(RENEW_INTERVAL);
    loop {
        tokio::select! {
            received = listener.try_recv() => {
                let (Some(first), Some(cache)) = (received?, cache.upgrade()) else { return Ok(()) };
                pending.evict(first, &mut listener, &cache);
                pending.acknowledge(&pool, me, &cache).await?;
            }
            () = tokio::time::sleep(RECHECK_INTERVAL), if !pending.0.is_empty() => {
                let Some(cache) = cache.upgrade() else { return Ok(()) };
                pending.acknowledge(&pool, me, &cache).await?;
            }
            _ = renew.tick() => {
                let began = Instant::now();
                let still_exists = answered(ANSWER_TIMEOUT, renew_lease(&pool, me)).await?;
                let Some(cache) = cache.upgrade().filter(|_| still_exists) else { return Ok(()) };
                cache.valid_until(began + LEASE - SAFETY_MARGIN);
            }
        }
    }
}

/// Connections of its own, one to listen and one to write, so that the lease is renewed however
/// many requests wait for a connection.
async fn connect(pool: &PgPool) -> sqlx::Result<(PgPool, PgListener)> {
    let own = PgPoolOptions::new().max_connections(2).acquire_timeout(ANSWER_TIMEOUT);
    let pool = own.connect_lazy_with((*pool.connect_options()).clone());
    let mut listener = answered(ANSWER_TIMEOUT, PgListener::connect_with(&pool)).await?;
    // A lost connection ends the lease at once. Reconnecting inside `try_recv`, which the other
    // branches cancel, could hide the loss and the announcements missed meanwhile.
    listener.eager_reconnect(false);
    answered(ANSWER_TIMEOUT, listener.listen(CHANNEL)).await?;
    Ok((pool, listener))
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

    /// Evicts the keys of an announcement and of those that arrived with it.
    fn evict(&mut self, first: PgNotification, listener: &mut PgListener, cache: &Cache) {
        let mut owners: Vec<Owner> = owner(first.payload()).into_iter().collect();
        while let Some(more) = listener.next_buffered() {
            owners.extend(owner(more.payload()));
        }
        cache.evict(&owners);
        self.add(owners);
    }

    /// Removes and returns the owners whose keys are no longer used in this process, or have been
    /// waited for longer than a lease.
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
                "destroyed keys are still used by slow writes; no longer waiting for them"
            );
        }
        free
    }

    async fn acknowledge(&mut self, pool: &PgPool, me: Uuid, cache: &Cache) -> sqlx::Result<()> {
        let free = self.free(cache, Instant::now());
        if free.is_empty() { Ok(()) } else { answered(ANSWER_TIMEOUT, acknowledge(pool, me, &free)).await }
    }
}

fn owner(payload: &str) -> Option<Owner> {
    let (tenant, id) = payload.split_once('/')?;
    Some(Owner { tenant: tenant.parse().ok()?, id: id.parse().ok()? })
}

/// Adds the lease of an empty cache. The table lock waits for everyone who is destroying keys
/// without having seen the lease; afterwards those keys can't be found in the store any more.
/// Returns the owners that an earlier lease of this process has not confirmed: their keys may be in
/// use.
async fn insert_lease(pool: &PgPool, me: Uuid) -> sqlx::Result<Vec<Owner>> {
    let mut transaction = pool.begin().await?;
    sqlx::query("LOCK TABLE rollcall_keys.caches IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await?;
    let gone = format!("DELETE FROM rollcall_keys.caches WHERE renewed_at < now() - interval '{STALE}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(gone)).execute(&mut *transaction).await?;
    let pending = unconfirmed(&mut transaction, me).await?;
    sqlx::query(
        "INSERT INTO rollcall_keys.caches (id, renewed_at) VALUES ($1, clock_timestamp()) \
         ON CONFLICT (id) DO UPDATE SET renewed_at = clock_timestamp()",
    )
    .bind(me)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(pending)
}

async fn unconfirmed(connection: &mut PgConnection, me: Uuid) -> sqlx::Result<Vec<Owner>> {
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

async fn renew_lease(pool: &PgPool, me: Uuid) -> sqlx::Result<bool> {
    let update = "UPDATE rollcall_keys.caches SET renewed_at = clock_timestamp() WHERE id = $1";
    sqlx::query(update).bind(me).execute(pool).await.map(|done| done.rows_affected() == 1)
}

async fn remove_lease(pool: &PgPool, me: Uuid) -> sqlx::Result<()> {
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
