//! Looks through all keys for those that nobody needs: of users that are deleted, whatever brought the key back, and those that were made for
//! a create whose event never came. And the other way round: for living users whose key is not there.

mod keyless;

use crate::{
    generation::{self, forget::forget_all_but},
    metrics::USERS_WITHOUT_KEY,
    record::{Partition, Topic},
    store::postgres,
};
use anyhow::Context as _;
use service_kit::{
    kafka::{self, Topics},
    keys::{Held, Keys},
    settings::Settings,
};
use sqlx::{PgConnection, PgPool};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use time::OffsetDateTime;
use uuid::Uuid;

/// How old a key must be to be taken for an orphan. Its create has failed long before: an append that is not in the log after some seconds is
/// dropped by the log's client, and one that a broker still held is looked for within minutes.
pub const ORPHAN_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// After the start, and between two sweeps.
const FIRST: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_secs(6 * 3_600);
/// One sweep at a time, however many projectors there are.
const LOCK: i64 = 0x726f_6c6c_7377_6570;

/// What a sweep found and did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swept {
    /// Keys that were looked at.
    pub keys: u64,
    /// Keys of deleted users, which should not have been there, and are destroyed.
    pub outlived: u64,
    /// Keys that belong to no event, and are destroyed.
    pub orphans: u64,
    /// Keys that seem to belong to no event, but are too young to tell, or the log is not folded to its end.
    pub undecided: u64,
    /// Living users whose key is not there: nobody can read their events any more.
    pub without_key: u64,
}

/// What the read model knows of a key's owner.
enum Standing {
    /// There is, or may be, something sealed under it.
    Needed,
    /// The user is deleted.
    Deleted,
    /// Nobody has ever heard of the user.
    Unheard,
}

/// Sweeps some time after the start, and from then on every few hours.
pub(crate) async fn now_and_then(settings: Settings, keys: Keys) {
    tokio::time::sleep(FIRST).await;
    loop {
        match sweep_with(&settings, &keys, ORPHAN_AFTER).await {
            Ok(Some(swept)) => tell(swept),
            Ok(None) => {}
            Err(error) => tracing::warn!(
                error = service_kit::chain::told(error.as_ref()),
                "the key store was not swept"
            ),
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn tell(Swept { keys, outlived, orphans, without_key, .. }: Swept) {
    USERS_WITHOUT_KEY.set(i64::try_from(without_key).unwrap_or(i64::MAX));
    tracing::info!(keys, orphans, "the key store is swept");
    if outlived > 0 {
        tracing::error!(outlived, "keys of deleted users had come back, and are destroyed again");
    }
    if without_key > 0 {
        tracing::error!(
            without_key,
            "keys of living users are missing: restore the key store; `rollcall erasure audit` names the users"
        );
    }
}

/// Sweeps once; keys that were asked for after `orphan_after` before now are left alone.
///
/// # Errors
/// Another sweep is at work, or a store can't be reached.
pub async fn sweep(settings: &Settings, orphan_after: Duration) -> anyhow::Result<Swept> {
    let swept = sweep_with(settings, &Keys::open(settings)?, orphan_after).await?;
    swept.context("another sweep is at work")
}

async fn sweep_with(
    settings: &Settings,
    keys: &Keys,
    orphan_after: Duration,
) -> anyhow::Result<Option<Swept>> {
    let pool = postgres::pool(settings)?;
    // The lock lives as long as this connection.
    let mut guard = pool.acquire().await?.detach();
    let is_alone: bool =
        sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(LOCK).fetch_one(&mut guard).await?;
    if !is_alone {
        return Ok(None);
    }
    // By its own clock, since it puts down by that when a key was asked for.
    let before = keys.time().await? - orphan_after;
    // In this order: what was asked for before that time is in the log by now, or never will be.
    let ends = ends(settings, &pool).await?;
    let sweeper = Sweeper { keys, before, is_level: is_level(&mut guard, &ends).await? };
    let (mut swept, mut after) = (Swept::default(), None);
    loop {
        let page = keys.page(after.as_ref()).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.owner.clone());
        sweeper.page(&mut guard, page, &mut swept).await?;
    }
    swept.without_key = keyless::count(&mut guard, keys).await?;
    // A rebuild does it too, but Redis may have been away then.
    if let Some(live) = generation::live(&mut guard).await?
        && let Err(error) = forget_all_but(settings, live).await
    {
        tracing::warn!(
            error = service_kit::chain::told(error.as_ref()),
            "bodies of generations that are not live may be left in Redis"
        );
    }
    if swept.outlived + swept.orphans > 0 {
        keys.vacuum().await?;
    }
    pool.close().await;
    Ok(Some(swept))
}

struct Sweeper<'s> {
    keys: &'s Keys,
    before: OffsetDateTime,
    /// Whether the live generation is folded up to the end that the log had.
    is_level: bool,
}

impl Sweeper<'_> {
    async fn page(
        &self,
        connection: &mut PgConnection,
        page: Vec<Held>,
        swept: &mut Swept,
    ) -> anyhow::Result<()> {
        let standings = standings(connection, &page).await?;
        let (mut outlived, mut orphans) = (Vec::new(), Vec::new());
        swept.keys += u64::try_from(page.len())?;
        for (held, standing) in page.into_iter().zip(standings) {
            match standing {
                Standing::Needed => {}
                Standing::Deleted => outlived.push(held.owner),
                Standing::Unheard if self.is_level && held.asked_at < self.before => orphans.push(held.owner),
                Standing::Unheard => swept.undecided += 1,
            }
        }
        if !outlived.is_empty() {
            self.keys.destroy(&outlived).await?;
            swept.outlived += u64::try_from(outlived.len())?;
        }
        if !orphans.is_empty() {
            swept.orphans += self.keys.destroy_orphans(&orphans, self.before).await?;
        }
        Ok(())
    }
}

/// In the order of the page. Whoever has a record that waits has something that a key may yet open.
async fn standings(connection: &mut PgConnection, page: &[Held]) -> anyhow::Result<Vec<Standing>> {
    let (tenants, ids): (Vec<&str>, Vec<Uuid>) =
        page.iter().map(|held| (held.owner.tenant.as_str(), held.owner.id)).unzip();
    let rows: Vec<(bool, bool)> = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM live.tombstones t WHERE t.tenant_id = ANY (ARRAY[k.tenant_id]) AND t.id = k.id), \
             EXISTS (SELECT FROM live.users u WHERE u.tenant_id = ANY (ARRAY[k.tenant_id]) AND u.id = k.id) \
             OR EXISTS (SELECT FROM live.dead_letters d WHERE d.tenant_id = ANY (ARRAY[k.tenant_id]) AND d.user_id = k.id) \
         FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY k(tenant_id, id, n) ORDER BY k.n",
    )
    .bind(tenants)
    .bind(ids)
    .fetch_all(connection)
    .await?;
    anyhow::ensure!(rows.len() == page.len(), "the read model did not answer for every key");
    let standing = |(is_deleted, is_needed)| match (is_deleted, is_needed) {
        (true, _) => Standing::Deleted,
        (false, true) => Standing::Needed,
        (false, false) => Standing::Unheard,
    };
    Ok(rows.into_iter().map(standing).collect())
}

type Ends = BTreeMap<Partition, i64>;

async fn ends(settings: &Settings, pool: &PgPool) -> anyhow::Result<Ends> {
    let partitions: Vec<i32> =
        sqlx::query_scalar("SELECT partition FROM live.checkpoints WHERE topic = 'users'")
            .fetch_all(pool)
            .await?;
    // Of everything that is written: what lies behind an open transaction may be the create that a key was made for.
    let users = Topics::new(&settings.topic_prefix).users;
    let ends = kafka::high_watermarks(settings, &users, partitions).await?;
    Ok(ends.into_iter().map(|(partition, end)| ((Topic::Users, partition), end)).collect())
}

async fn is_level(connection: &mut PgConnection, ends: &Ends) -> sqlx::Result<bool> {
    let rows: Vec<(i32, i64)> =
        sqlx::query_as("SELECT partition, next_offset FROM live.checkpoints WHERE topic = 'users'")
            .fetch_all(connection)
            .await?;
    let level: BTreeSet<i32> = rows
        .into_iter()
        .filter(|(partition, next)| ends.get(&(Topic::Users, *partition)).is_some_and(|end| next >= end))
        .map(|(partition, _)| partition)
        .collect();
    Ok(ends.keys().all(|(_, partition)| level.contains(partition)))
}
