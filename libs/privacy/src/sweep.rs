//! Looks through all keys for those that nobody needs: of users that are deleted, whatever brought the key back, and those that were made for
//! a create whose event never came. And the other way round: for living users whose key is not there.

mod missing_keys;
mod owners;
mod reason;
mod undecided;
mod verdict;

pub use reason::UndecidedReason;
pub use undecided::{Destroyed, Group, Undecided, UndecidedKey, destroy_undecided, undecided};

use anyhow::Context as _;
use key_store::{KeyWithOrigin, Keys};
use read_model::{generation, operate::retired_bodies};
use service_kit::settings::Settings;
use sqlx::{PgConnection, PgPool};
use std::{collections::BTreeMap, time::Duration};
use verdict::{Judge, Verdict};

/// How old a key must be to be taken for an orphan. Its create has failed long before: an append that is not in the log after some seconds is
/// dropped by the log's client, and one that a broker still held is looked for within minutes.
pub const ORPHAN_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// After the start, and between two sweeps.
const FIRST: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_secs(6 * 3_600);
/// Of a sweep.
const LOCK: i64 = 0x726f_6c6c_7377_6570;

/// What a sweep found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swept {
    /// Keys that were looked at.
    pub keys: u64,
    /// Keys of deleted users, which should not have been there, and are destroyed.
    pub outlived: u64,
    /// Keys that belong to no event, and are destroyed.
    pub orphans: u64,
    /// Keys of which nobody can tell whether they are needed, and which are left alone.
    pub undecided: u64,
    /// The same by reason.
    pub undecided_by: BTreeMap<UndecidedReason, u64>,
    /// Living users whose key is not there: nobody can read their events any more.
    pub without_key: u64,
}

impl Swept {
    fn leave(&mut self, reason: UndecidedReason) {
        self.undecided += 1;
        *self.undecided_by.entry(reason).or_default() += 1;
    }

    /// The number of undecided keys that an operator has to decide about.
    pub fn waiting_for_an_operator(&self) -> u64 {
        self.undecided_by.iter().filter(|(reason, _)| !reason.passes()).map(|(_, keys)| keys).sum()
    }
}

/// Sweeps some time after the start, and from then on every few hours. Hands each result to `show`.
pub async fn sweep_periodically(settings: Settings, keys: Keys, show: impl Fn(&Swept)) {
    tokio::time::sleep(FIRST).await;
    loop {
        match sweep_with(&settings, &keys, ORPHAN_AFTER).await {
            Ok(Some(swept)) => {
                show(&swept);
                log(&swept);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(
                error = service_kit::errors::describe_error(error.as_ref()),
                "the key store was not swept"
            ),
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn log(swept: &Swept) {
    let Swept { keys, outlived, orphans, undecided, without_key, .. } = *swept;
    let waiting = swept.waiting_for_an_operator();
    tracing::info!(keys, orphans, undecided, "the key store was swept");
    if waiting > 0 {
        tracing::warn!(
            waiting,
            "keys are kept that may or may not be needed: `rollcall keys status --undecided` lists them with the reasons"
        );
    }
    if outlived > 0 {
        tracing::error!(outlived, "keys of deleted users had come back and were destroyed again");
    }
    if without_key > 0 {
        tracing::error!(
            without_key,
            "keys of living users are missing: restore the key store; `rollcall erasure audit` lists the users"
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
    let pool = read_model::pool(settings)?;
    let Some(mut lock) = Locked::take(&pool).await? else { return Ok(None) };
    let judge = Judge::look(settings, &pool, keys, orphan_after).await?;
    let sweeper = Sweeper { keys, judge };
    let (mut swept, mut after) = (Swept::default(), None);
    loop {
        let page = keys.page_with_origins(after.as_ref()).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.held.owner.clone());
        sweeper.page(&mut lock.connection, page, &mut swept).await?;
    }
    swept.without_key = missing_keys::count(&mut lock.connection, keys).await?;
    // A rebuild does it too, but Redis may have been away then.
    if let Some(live) = generation::live(&mut lock.connection).await?
        && let Err(error) = retired_bodies::unlink(settings, live).await
    {
        tracing::warn!(
            error = service_kit::errors::describe_error(error.as_ref()),
            "bodies of generations that are not live may be left in Redis"
        );
    }
    if swept.outlived + swept.orphans > 0 {
        keys.vacuum().await?;
    }
    pool.close().await;
    Ok(Some(swept))
}

/// Destroys what a judge says is needed by nobody.
struct Sweeper<'s> {
    keys: &'s Keys,
    judge: Judge,
}

impl Sweeper<'_> {
    async fn page(
        &self,
        connection: &mut PgConnection,
        page: Vec<KeyWithOrigin>,
        swept: &mut Swept,
    ) -> anyhow::Result<()> {
        let verdicts = self.judge.page(connection, &page).await?;
        let (mut outlived, mut orphans, mut ours) = (Vec::new(), Vec::new(), Vec::new());
        swept.keys += u64::try_from(page.len())?;
        for (key, verdict) in page.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Needed { is_ours: true } => ours.push(key.held),
                Verdict::Needed { is_ours: false } => {}
                Verdict::Outlived => outlived.push(key.held),
                Verdict::Orphan => orphans.push(key.held),
                Verdict::Undecided(reason) => swept.leave(reason),
            }
        }
        if !ours.is_empty() {
            self.keys.note_origin(&ours, &self.judge.present).await?;
        }
        if !outlived.is_empty() {
            swept.outlived += self.keys.destroy_exactly(&outlived, None).await?;
        }
        if !orphans.is_empty() {
            swept.orphans += self.keys.destroy_exactly(&orphans, Some(self.judge.before)).await?;
        }
        Ok(())
    }
}

/// One sweep at a time, however many projectors there are. The lock lives as long as this connection.
struct Locked {
    connection: PgConnection,
}

impl Locked {
    async fn take(pool: &PgPool) -> anyhow::Result<Option<Self>> {
        let mut connection = pool.acquire().await?.detach();
        let is_alone: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut connection)
            .await?;
        Ok(is_alone.then_some(Self { connection }))
    }
}
