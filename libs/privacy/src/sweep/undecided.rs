//! Undecided keys: listed for an operator, and destroyed only on the operator's decision.

use super::{
    SweepLock,
    classify::{Classifier, KeyStatus},
    reason::UndecidedReason,
};
use anyhow::Context as _;
use events_schema::TenantId;
use key_store::{KeyWithOrigin, Keys, StoredKey};
use service_kit::settings::Settings;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use time::OffsetDateTime;
use uuid::Uuid;

/// How long listing waits for the read model and the log.
const LOAD_TIMEOUT: Duration = Duration::from_secs(20);

/// Undecided keys with the same reason and origin.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Why they are undecided.
    pub reason: UndecidedReason,
    /// The deployment that they were made for. `None` if it is unknown.
    pub deployment: Option<Uuid>,
    /// The log that they were made for. `None` if it is unknown.
    pub log: Option<String>,
    /// How many there are.
    pub keys: u64,
}

/// An undecided key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UndecidedKey {
    /// The user's tenant.
    pub tenant_id: TenantId,
    /// The user that it belongs to.
    pub user_id: Uuid,
    /// Its id.
    pub key_id: Uuid,
    /// Why it is undecided.
    pub reason: UndecidedReason,
    /// The log that it was made for. `None` if it is unknown.
    pub log: Option<String>,
    /// When it was last requested for a user without events.
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
}

impl UndecidedKey {
    fn new(key: &KeyWithOrigin, reason: UndecidedReason) -> Self {
        Self {
            tenant_id: key.held.owner.tenant.clone(),
            user_id: key.held.owner.id,
            key_id: key.held.id,
            reason,
            log: key.origin.as_ref().map(|origin| origin.log.clone()),
            asked_at: key.held.asked_at,
        }
    }
}

/// The number of undecided keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Undecided {
    /// All of them.
    pub keys: u64,
    /// The same by reason and origin.
    pub groups: Vec<Group>,
}

#[derive(Default)]
struct Groups(BTreeMap<(UndecidedReason, Option<Uuid>, Option<String>), u64>);

impl Groups {
    fn add(&mut self, reason: UndecidedReason, key: &KeyWithOrigin) {
        let origin = key.origin.as_ref();
        let group = (reason, origin.map(|origin| origin.deployment), origin.map(|origin| origin.log.clone()));
        *self.0.entry(group).or_default() += 1;
    }

    fn into_undecided(self) -> Undecided {
        let group = |((reason, deployment, log), keys)| Group { reason, deployment, log, keys };
        Undecided { keys: self.0.values().sum(), groups: self.0.into_iter().map(group).collect() }
    }
}

/// Counts the undecided keys and passes each of them to `each`. Changes nothing.
///
/// # Errors
/// A store can't be reached, or the key store belongs to another deployment.
pub async fn undecided(
    settings: &Settings,
    orphan_after: Duration,
    mut each: impl FnMut(UndecidedKey),
) -> anyhow::Result<Undecided> {
    let (pool, keys) = (read_model::pool(settings)?, Keys::open(settings)?);
    let classifier = Classifier::load(settings, &pool, &keys, orphan_after);
    let classifier = tokio::time::timeout(LOAD_TIMEOUT, classifier).await;
    let classifier = classifier.context("the read model or the log does not answer in time")??;
    let mut connection = pool.acquire().await?;
    let (mut groups, mut after) = (Groups::default(), None);
    loop {
        let page = keys.page_with_origins(after.as_ref()).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.held.owner.clone());
        for (key, status) in page.iter().zip(classifier.page(&mut connection, &page).await?) {
            let KeyStatus::Undecided(reason) = status else { continue };
            groups.add(reason, key);
            each(UndecidedKey::new(key, reason));
        }
    }
    Ok(groups.into_undecided())
}

/// The result of an operator's decision.
pub struct Destroyed {
    /// The keys that were destroyed.
    pub gone: Undecided,
    /// How many others had one of the reasons, but were requested too recently.
    pub too_recent: u64,
}

/// Destroys the undecided keys with one of these reasons. Keys that were requested less than
/// `orphan_after` ago stay, because a write that uses one may be on its way.
///
/// # Errors
/// Another sweep is running, the live generation has not folded the log to its end, the key store
/// belongs to another deployment, or a store can't be reached.
pub async fn destroy_undecided(
    settings: &Settings,
    reasons: &BTreeSet<UndecidedReason>,
    orphan_after: Duration,
) -> anyhow::Result<Destroyed> {
    let (pool, keys) = (read_model::pool(settings)?, Keys::open(settings)?);
    let lock = SweepLock::take(&pool).await?;
    let mut lock = lock.context("another sweep is running: try again when it has ended")?;
    let classifier = Classifier::load(settings, &pool, &keys, orphan_after).await?;
    anyhow::ensure!(
        classifier.is_level(),
        "the live generation has not folded the present log to its end, and the rest may name a user of one of these keys. \
         Nothing was destroyed. Wait until `rollcall projection status` shows no lag, then repeat the command"
    );
    let (mut groups, mut too_recent, mut after) = (Groups::default(), 0, None);
    loop {
        let page = keys.page_with_origins(after.as_ref()).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.held.owner.clone());
        let statuses = classifier.page(&mut lock.connection, &page).await?;
        let (chosen, recent) = choose(&page, statuses, reasons, classifier.before);
        too_recent += recent;
        let held: Vec<StoredKey> = chosen.iter().map(|(_, key)| key.held.clone()).collect();
        if !held.is_empty() {
            keys.destroy_exactly(&held, Some(classifier.before)).await?;
        }
        chosen.into_iter().for_each(|(reason, key)| groups.add(reason, key));
    }
    let gone = groups.into_undecided();
    if gone.keys > 0 {
        keys.vacuum().await?;
    }
    Ok(Destroyed { gone, too_recent })
}

/// The keys of a page that are undecided for one of the reasons, and how many more of them were
/// requested too recently.
fn choose<'p>(
    page: &'p [KeyWithOrigin],
    statuses: Vec<KeyStatus>,
    reasons: &BTreeSet<UndecidedReason>,
    before: OffsetDateTime,
) -> (Vec<(UndecidedReason, &'p KeyWithOrigin)>, u64) {
    let chosen = page.iter().zip(statuses).filter_map(|(key, status)| match status {
        KeyStatus::Undecided(reason) if reasons.contains(&reason) => Some((reason, key)),
        _ => None,
    });
    let (chosen, recent): (Vec<_>, Vec<_>) = chosen.partition(|(_, key)| key.held.asked_at < before);
    (chosen, u64::try_from(recent.len()).unwrap_or(u64::MAX))
}
