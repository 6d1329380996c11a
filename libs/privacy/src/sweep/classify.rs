//! Whether a key is needed.
//!
//! A key is destroyed as an orphan only with a proof: it was made for the present log and this
//! deployment, it was requested long enough ago, the whole log is folded, and nothing names its
//! owner. A key without such a proof is undecided, and stays.

use super::{
    owner_status::{OtherTraces, OwnerStatus, statuses, user_of},
    reason::UndecidedReason,
};
use anyhow::Context as _;
use event_log::{
    identity::{LogIdentity, LogMatch},
    log_ends,
};
use events_schema::{Partition, Topic};
use key_store::{KeyWithOrigin, Keys, Origin};
use read_model::{
    generation,
    migrate::deployment,
    operate::{checkpoints::users_next_offsets, logs},
};
use service_kit::{
    kafka::{self, Topics},
    settings::Settings,
};
use sqlx::{PgConnection, PgPool};
use std::{collections::BTreeMap, time::Duration};
use time::OffsetDateTime;

/// Whether a key is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyStatus {
    /// It is needed. `is_origin_found`: its origin was unknown, and the user's last event proves that
    /// it belongs to the present log.
    Needed { is_origin_found: bool },
    /// Its user was deleted, so it should not exist.
    Outlived,
    /// No event needs it.
    Orphan,
    /// Nothing proves whether it is needed.
    Undecided(UndecidedReason),
}

/// Classifies keys by one state of the log and one live generation.
pub(super) struct Classifier {
    /// This deployment and the live generation's log.
    pub(super) present: Origin,
    /// Keys that were requested since then are too recent to be classified.
    pub(super) before: OffsetDateTime,
    live: i32,
    traces: OtherTraces,
    log: LogState,
}

/// How much of the log is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogState {
    /// All of it.
    Complete,
    /// All that is left; its beginning is lost.
    Cut,
    /// Not all, or another log is in Kafka now.
    NotLevel,
}

impl Classifier {
    /// Reads the state of the log and of the read model.
    ///
    /// # Errors
    /// The key store belongs to another deployment, or a store can't be reached.
    pub(super) async fn load(
        settings: &Settings,
        pool: &PgPool,
        keys: &Keys,
        orphan_after: Duration,
    ) -> anyhow::Result<Self> {
        let mut connection = pool.acquire().await?;
        let deployment = deployment::id(&mut connection).await?;
        let deployment =
            deployment.context("the read model has no deployment's id yet: run `rollcall migrate`")?;
        keys.check_binding(Some(deployment)).await?;
        // By the key store's clock, which stamps requests for keys.
        let before = keys.time().await? - orphan_after;
        // The order matters: what was requested before that time is in the log by now, or never will be.
        let partitions = log_partitions(settings, &mut connection).await?;
        let live = generation::live(&mut connection).await?.context("there is no live generation")?;
        let log = logs::live_users_topic_id(&mut connection).await?.context("there is no live generation")?;
        let traces = OtherTraces::load(&mut connection, u32::try_from(partitions.len())?).await?;
        let next = users_next_offsets(&mut connection).await?;
        drop(connection);
        // Users of another log, and of added partitions, are not in the read model.
        let is_same_log = LogIdentity::new(settings)?.compare(pool, live).await? == LogMatch::Same;
        let log_state = if is_same_log { log_state(&partitions, &next) } else { LogState::NotLevel };
        Ok(Self { present: Origin { deployment, log }, before, live, traces, log: log_state })
    }

    /// The status of each key of a page, in its order.
    ///
    /// # Errors
    /// The read model can't be asked, or another generation was promoted.
    pub(super) async fn page(
        &self,
        connection: &mut PgConnection,
        page: &[KeyWithOrigin],
    ) -> anyhow::Result<Vec<KeyStatus>> {
        let owners = statuses(connection, page).await?;
        let unknown = page.iter().zip(&owners).filter(|(_, owner)| **owner == OwnerStatus::Unknown);
        let unknown: Vec<_> = unknown.map(|(key, _)| key.held.clone()).collect();
        let known_elsewhere = self.traces.known(connection, &unknown).await?;
        // Checked last: the answers are those of the generation that was live until now.
        let live = generation::live(connection).await?;
        anyhow::ensure!(live == Some(self.live), "another generation was promoted meanwhile: sweep again");
        let status = |(key, owner): (&KeyWithOrigin, OwnerStatus)| {
            let is_known_elsewhere = known_elsewhere.contains(&user_of(&key.held));
            classify(key, owner, is_known_elsewhere, &self.present, self.before, self.log)
        };
        Ok(page.iter().zip(owners).map(status).collect())
    }

    /// Whether the present log is folded to its end, so that an unknown user is not in it.
    pub(super) fn is_level(&self) -> bool {
        self.log != LogState::NotLevel
    }
}

/// Pure, so that every case can be tested.
fn classify(
    key: &KeyWithOrigin,
    owner: OwnerStatus,
    is_known_elsewhere: bool,
    present: &Origin,
    before: OffsetDateTime,
    log: LogState,
) -> KeyStatus {
    let foreign = match &key.origin {
        None => Some(UndecidedReason::UnknownOrigin),
        Some(origin) if origin.deployment != present.deployment => Some(UndecidedReason::OtherDeployment),
        Some(origin) if origin.log != present.log => Some(UndecidedReason::OtherLog),
        Some(_) => None,
    };
    let undecided = match (owner, foreign) {
        (OwnerStatus::Needed { is_current_key }, _) => {
            return KeyStatus::Needed { is_origin_found: is_current_key && key.origin.is_none() };
        }
        (OwnerStatus::Deleted, None) => return KeyStatus::Outlived,
        (OwnerStatus::Deleted, Some(_)) => UndecidedReason::DeletedHere,
        (OwnerStatus::Unknown, Some(reason)) => reason,
        (OwnerStatus::Unknown, None) if key.held.asked_at >= before => UndecidedReason::Young,
        (OwnerStatus::Unknown, None) if log == LogState::NotLevel => UndecidedReason::NotLevel,
        (OwnerStatus::Unknown, None) if is_known_elsewhere => UndecidedReason::KnownElsewhere,
        (OwnerStatus::Unknown, None) if log == LogState::Cut => UndecidedReason::LogCut,
        (OwnerStatus::Unknown, None) => return KeyStatus::Orphan,
    };
    KeyStatus::Undecided(undecided)
}

/// The first offset of each partition of `users.events`, and the one after its last.
type LogPartitions = BTreeMap<i32, (i64, i64)>;

async fn log_partitions(settings: &Settings, connection: &mut PgConnection) -> anyhow::Result<LogPartitions> {
    let partitions: Vec<i32> = users_next_offsets(connection).await?.into_keys().collect();
    // The end includes open transactions: one of them may hold the create that a key was made for.
    let topic = Topics::new(&settings.topic_prefix).users;
    let high = kafka::high_watermarks(settings, &topic, partitions.clone()).await?;
    let partitions: Vec<Partition> = partitions.into_iter().map(|n| (Topic::Users, n)).collect();
    let ends = log_ends::ends(settings, partitions).await?;
    let both = |((_, partition), ends): (Partition, log_ends::Ends)| {
        (partition, (ends.low, high.get(&partition).copied().unwrap_or(i64::MAX)))
    };
    Ok(ends.into_iter().map(both).collect())
}

fn log_state(partitions: &LogPartitions, next: &BTreeMap<i32, i64>) -> LogState {
    let is_folded =
        |(partition, (_, high)): (&i32, &(i64, i64))| next.get(partition).is_some_and(|next| next >= high);
    if partitions.is_empty() || !partitions.iter().all(is_folded) {
        return LogState::NotLevel;
    }
    if partitions.values().all(|(low, _)| *low == 0) { LogState::Complete } else { LogState::Cut }
}

#[cfg(test)]
mod tests;
