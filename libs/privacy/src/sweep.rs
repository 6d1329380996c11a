//! Searches the key store for keys that nobody needs: those of deleted users, whatever brought them
//! back, and those made for a create whose event never reached the log. It also counts the living
//! users whose key is missing.

mod classify;
mod missing_keys;
mod owner_status;
mod reason;
mod undecided;

pub use reason::UndecidedReason;
pub use undecided::{Destroyed, Group, Undecided, UndecidedKey, destroy_undecided, undecided};

use anyhow::Context as _;
use classify::{Classifier, KeyStatus};
use key_store::{KeyWithOrigin, Keys};
use read_model::{generation, operate::retired_bodies};
use service_kit::settings::Settings;
use sqlx::{PgConnection, PgPool};
use std::{collections::BTreeMap, time::Duration};

/// How long ago an orphan must have been requested. Its create has failed long before: Kafka's client
/// drops an append that fails for some seconds, and an append that a broker still held is looked up
/// within minutes.
pub const ORPHAN_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// The pause before the first sweep.
const FIRST: Duration = Duration::from_secs(30);
/// The pause between two sweeps.
const EVERY: Duration = Duration::from_secs(6 * 3_600);
/// The advisory lock of a sweep.
const LOCK: i64 = 0x726f_6c6c_7377_6570;

/// What a sweep found and destroyed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swept {
    /// Keys that were checked.
    pub keys: u64,
    /// Destroyed keys of deleted users.
    pub outlived: u64,
    /// Destroyed orphans: keys that no event needs.
    pub orphans: u64,
    /// Keys that are kept because nothing proves whether they are needed.
    pub undecided: u64,
    /// The same by reason.
    pub undecided_by: BTreeMap<UndecidedReason, u64>,
    /// Living users whose key is missing, so that nobody can read their events any more.
    pub without_key: u64,
}

impl Swept {
    fn keep(&mut self, reason: UndecidedReason) {
        self.undecided += 1;
        *self.undecided_by.entry(reason).or_default() += 1;
    }

    /// The number of undecided keys that an operator has to decide about.
    pub fn waiting_for_an_operator(&self) -> u64 {
        self.undecided_by.iter().filter(|(reason, _)| !reason.is_temporary()).map(|(_, keys)| keys).sum()
    }
}

/// Sweeps some time after the start, and every few hours from then on. Passes each result to `report`.
pub async fn sweep_periodically(settings: Settings, keys: Keys, report: impl Fn(&Swept)) {
    tokio::time::sleep(FIRST).await;
    loop {
        match sweep_with(&settings, &keys, ORPHAN_AFTER).await {
            Ok(Some(swept)) => {
                report(&swept);
                log(&swept);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(
                error = service_kit::errors::describe_error(error.as_ref()),
                "the sweep of the key store failed"
            ),
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn log(swept: &Swept) {
    let Swept { keys, outlived, orphans, undecided, without_key, .. } = *swept;
    let waiting = swept.waiting_for_an_operator();
    tracing::info!(keys, orphans, undecided, "swept the key store");
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
            "keys of living users are missing: `rollcall erasure audit` lists the users. If they were not deleted, restore the key store"
        );
    }
}

/// Sweeps once. Keys that were requested less than `orphan_after` ago stay.
///
/// # Errors
/// Another sweep is running, or a store can't be reached.
pub async fn sweep(settings: &Settings, orphan_after: Duration) -> anyhow::Result<Swept> {
    let swept = sweep_with(settings, &Keys::open(settings)?, orphan_after).await?;
    swept.context("another sweep is running: try again when it has ended")
}

/// Sweeps once. `None` if another sweep is running.
async fn sweep_with(
    settings: &Settings,
    keys: &Keys,
    orphan_after: Duration,
) -> anyhow::Result<Option<Swept>> {
    let pool = read_model::pool(settings)?;
    let Some(mut lock) = SweepLock::take(&pool).await? else { return Ok(None) };
    let classifier = Classifier::load(settings, &pool, keys, orphan_after).await?;
    let sweeper = Sweeper { keys, classifier };
    let (mut swept, mut after) = (Swept::default(), None);
    loop {
        let page = keys.page_with_origins(after.as_ref()).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.held.owner.clone());
        sweeper.sweep_page(&mut lock.connection, page, &mut swept).await?;
    }
    // A read model that is not level may still show users who were deleted.
    if sweeper.classifier.is_level() {
        swept.without_key = missing_keys::count(&mut lock.connection, keys).await?;
    }
    unlink_retired_bodies(settings, &mut lock.connection).await?;
    if swept.outlived + swept.orphans > 0 {
        keys.vacuum().await?;
    }
    pool.close().await;
    Ok(Some(swept))
}

/// A rebuild does this too, but Redis may have been unreachable then.
async fn unlink_retired_bodies(settings: &Settings, connection: &mut PgConnection) -> anyhow::Result<()> {
    if let Some(live) = generation::live(connection).await?
        && let Err(error) = retired_bodies::unlink(settings, live).await
    {
        tracing::warn!(
            error = service_kit::errors::describe_error(error.as_ref()),
            "bodies of generations that are not live may be left in Redis"
        );
    }
    Ok(())
}

/// Destroys the keys that nobody needs.
struct Sweeper<'s> {
    keys: &'s Keys,
    classifier: Classifier,
}

impl Sweeper<'_> {
    async fn sweep_page(
        &self,
        connection: &mut PgConnection,
        page: Vec<KeyWithOrigin>,
        swept: &mut Swept,
    ) -> anyhow::Result<()> {
        let statuses = self.classifier.page(connection, &page).await?;
        let (mut outlived, mut orphans, mut ours) = (Vec::new(), Vec::new(), Vec::new());
        swept.keys += u64::try_from(page.len())?;
        for (key, status) in page.into_iter().zip(statuses) {
            match status {
                KeyStatus::Needed { is_origin_found: true } => ours.push(key.held),
                KeyStatus::Needed { is_origin_found: false } => {}
                KeyStatus::Outlived => outlived.push(key.held),
                KeyStatus::Orphan => orphans.push(key.held),
                KeyStatus::Undecided(reason) => swept.keep(reason),
            }
        }
        if !ours.is_empty() {
            self.keys.note_origin(&ours, &self.classifier.present).await?;
        }
        if !outlived.is_empty() {
            swept.outlived += self.keys.destroy_exactly(&outlived, None).await?;
        }
        if !orphans.is_empty() {
            swept.orphans += self.keys.destroy_exactly(&orphans, Some(self.classifier.before)).await?;
        }
        Ok(())
    }
}

/// Allows one sweep at a time, however many projectors there are. The lock is held as long as this
/// connection is open.
struct SweepLock {
    connection: PgConnection,
}

impl SweepLock {
    async fn take(pool: &PgPool) -> anyhow::Result<Option<Self>> {
        let mut connection = pool.acquire().await?.detach();
        let is_taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut connection)
            .await?;
        Ok(is_taken.then_some(Self { connection }))
    }
}
