//! Keys of which nobody can tell whether they are needed: counted and named, and destroyed only where an operator says so.

use super::{
    Locked,
    reason::UndecidedReason,
    verdict::{Judge, Verdict},
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

/// For the read model and the log, where somebody only wants to know.
const PATIENCE: Duration = Duration::from_secs(20);

/// Undecided keys that have a reason and an origin in common.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Why.
    pub reason: UndecidedReason,
    /// The deployment that they were made for; `None`: nobody knows.
    pub deployment: Option<Uuid>,
    /// The log that they were made for; `None`: nobody knows.
    pub log: Option<String>,
    /// How many.
    pub keys: u64,
}

/// An undecided key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UndecidedKey {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Whose it is.
    pub user_id: Uuid,
    /// Its id.
    pub key_id: Uuid,
    /// Why.
    pub reason: UndecidedReason,
    /// The log that it was made for; `None`: nobody knows.
    pub log: Option<String>,
    /// When it was last asked for as a new one.
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
}

/// All undecided keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Undecided {
    /// How many there are.
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

    fn all(self) -> Undecided {
        let group = |((reason, deployment, log), keys)| Group { reason, deployment, log, keys };
        Undecided { keys: self.0.values().sum(), groups: self.0.into_iter().map(group).collect() }
    }
}

/// Counts the undecided keys; `each` is handed every one of them. Nothing is changed.
///
/// # Errors
/// A store can't be reached, or the key store belongs to another deployment.
pub async fn undecided(
    settings: &Settings,
    orphan_after: Duration,
    mut each: impl FnMut(UndecidedKey),
) -> anyhow::Result<Undecided> {
    let (pool, keys) = (read_model::pool(settings)?, Keys::open(settings)?);
    let judge = tokio::time::timeout(PATIENCE, Judge::look(settings, &pool, &keys, orphan_after)).await;
    let judge = judge.context("the read model or the log does not answer in time")??;
    let mut connection = pool.acquire().await?;
    let (mut groups, mut after) = (Groups::default(), None);
    loop {
        let page = keys.page_with_origins(after.as_ref()).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.held.owner.clone());
        for (key, verdict) in page.iter().zip(judge.page(&mut connection, &page).await?) {
            let Verdict::Undecided(reason) = verdict else { continue };
            groups.add(reason, key);
            each(UndecidedKey {
                tenant_id: key.held.owner.tenant.clone(),
                user_id: key.held.owner.id,
                key_id: key.held.id,
                reason,
                log: key.origin.as_ref().map(|origin| origin.log.clone()),
                asked_at: key.held.asked_at,
            });
        }
    }
    Ok(groups.all())
}

/// What an operator's decision came to.
pub struct Destroyed {
    /// The keys that were destroyed.
    pub gone: Undecided,
    /// How many others had one of the reasons, but were requested too recently.
    pub too_recent: u64,
}

/// Destroys the undecided keys with one of these reasons. Keys that were requested less than `orphan_after` ago
/// stay, because a write that uses one may be on its way.
///
/// # Errors
/// Another sweep is at work, the live generation is not level with the log, the key store belongs to another deployment, or a store can't
/// be reached.
pub async fn destroy_undecided(
    settings: &Settings,
    reasons: &BTreeSet<UndecidedReason>,
    orphan_after: Duration,
) -> anyhow::Result<Destroyed> {
    let (pool, keys) = (read_model::pool(settings)?, Keys::open(settings)?);
    let mut lock = Locked::take(&pool).await?.context("another sweep is at work")?;
    let judge = Judge::look(settings, &pool, &keys, orphan_after).await?;
    anyhow::ensure!(
        judge.is_level(),
        "the live generation has not folded the present log to its end, so a user of one of these keys may be in what is left: wait \
         until `rollcall projection status` shows no lag. Nothing was destroyed"
    );
    let (mut groups, mut too_recent, mut after) = (Groups::default(), 0, None);
    loop {
        let page = keys.page_with_origins(after.as_ref()).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.held.owner.clone());
        let verdicts = judge.page(&mut lock.connection, &page).await?;
        let chosen = page.iter().zip(verdicts).filter_map(|(key, verdict)| match verdict {
            Verdict::Undecided(reason) if reasons.contains(&reason) => Some((reason, key)),
            _ => None,
        });
        let (chosen, recent): (Vec<(UndecidedReason, &KeyWithOrigin)>, Vec<_>) =
            chosen.partition(|(_, key)| key.held.asked_at < judge.before);
        too_recent += u64::try_from(recent.len())?;
        let held: Vec<StoredKey> = chosen.iter().map(|(_, key)| key.held.clone()).collect();
        if !held.is_empty() {
            keys.destroy_exactly(&held, Some(judge.before)).await?;
        }
        chosen.into_iter().for_each(|(reason, key)| groups.add(reason, key));
    }
    let gone = groups.all();
    if gone.keys > 0 {
        keys.vacuum().await?;
    }
    Ok(Destroyed { gone, too_recent })
}
