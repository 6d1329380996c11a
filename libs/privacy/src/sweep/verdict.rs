//! Whether a key is needed. One is destroyed as an orphan only with a proof: it was made for the present log and this deployment, long enough
//! ago, the whole log is folded, and nothing names its owner. Whatever can't be proved is undecided, and left alone.

use super::{
    owners::{Elsewhere, Standing, standings},
    reason::UndecidedReason,
};
use anyhow::Context as _;
use event_log::{
    identity::{LogIdentity, LogMatch},
    log_ends::{self, Ends},
};
use events_schema::{Partition, Topic, UserKey};
use key_store::{KeyWithOrigin, Keys, Origin};
use read_model::{generation, migrate::deployment, operate::logs};
use service_kit::{
    kafka::{self, Topics},
    settings::Settings,
};
use sqlx::{PgConnection, PgPool};
use std::{collections::BTreeMap, time::Duration};
use time::OffsetDateTime;

/// What is to become of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It stays. `is_ours`: nobody knew what it was made for, and now it is proved that it belongs to the present log.
    Needed { is_ours: bool },
    /// Its user is deleted: it should not be there.
    Outlived,
    /// It belongs to no event.
    Orphan,
    /// Nobody can tell.
    Undecided(UndecidedReason),
}

/// Judges keys, all by one state of the log and one live generation.
pub(super) struct Judge {
    /// The live generation's log, and this deployment.
    pub(super) present: Origin,
    /// Keys that were asked for after that are too young to be judged.
    pub(super) before: OffsetDateTime,
    live: i32,
    elsewhere: Elsewhere,
    log: Log,
}

/// How much of the log is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// All of it.
    Whole,
    /// All that is left; its beginning is gone.
    Cut,
    /// Not to its end, or it is not the log that is there now.
    NotLevel,
}

impl Judge {
    /// Looks at the log and at the read model. Refuses the key store of another deployment.
    ///
    /// # Errors
    /// It is one, or a store can't be reached.
    pub(super) async fn look(
        settings: &Settings,
        pool: &PgPool,
        keys: &Keys,
        orphan_after: Duration,
    ) -> anyhow::Result<Self> {
        let mut connection = pool.acquire().await?;
        let ours = deployment::id(&mut connection).await?;
        let ours = ours.context("the read model has no deployment's id yet: run `rollcall migrate`")?;
        keys.check_binding(Some(ours)).await?;
        // By its own clock, since it notes by that when a key was asked for.
        let before = keys.time().await? - orphan_after;
        // In this order: what was asked for before that time is in the log by now, or never will be.
        let ends = ends(settings, &mut connection).await?;
        let live = generation::live(&mut connection).await?.context("there is no live generation")?;
        let log_id =
            logs::live_users_topic_id(&mut connection).await?.context("there is no live generation")?;
        let partitions = u32::try_from(ends.len())?;
        let elsewhere = Elsewhere::look(&mut connection, partitions).await?;
        let is_level = is_level(&mut connection, &ends).await?;
        drop(connection);
        // Another log, and partitions that were added, hold users of whom nothing is folded.
        let is_present = LogIdentity::new(settings)?.compare(pool, live).await? == LogMatch::Same;
        let is_level = is_level && !ends.is_empty();
        let log = match ends.values().all(|(low, _)| *low == 0) {
            _ if !(is_level && is_present) => Log::NotLevel,
            true => Log::Whole,
            false => Log::Cut,
        };
        Ok(Self { present: Origin { deployment: ours, log: log_id }, before, live, elsewhere, log })
    }

    /// What is to become of each key of a page, in its order.
    ///
    /// # Errors
    /// The read model can't be asked, or another generation has become the live one.
    pub(super) async fn page(
        &self,
        connection: &mut PgConnection,
        page: &[KeyWithOrigin],
    ) -> anyhow::Result<Vec<Verdict>> {
        let standings = standings(connection, page).await?;
        let unheard: Vec<_> = page
            .iter()
            .zip(&standings)
            .filter(|(_, standing)| **standing == Standing::Unheard)
            .map(|(key, _)| key.held.clone())
            .collect();
        let known = self.elsewhere.known(connection, &unheard).await?;
        // Last of all, since the answers are those of the generation that was live while they were given.
        let live = generation::live(connection).await?;
        anyhow::ensure!(live == Some(self.live), "another generation was promoted meanwhile: sweep again");
        let verdict = |(key, standing): (&KeyWithOrigin, Standing)| {
            let user = UserKey { tenant: key.held.owner.tenant.clone(), user: key.held.owner.id };
            verdict(key, standing, known.contains(&user), &self.present, self.before, self.log)
        };
        Ok(page.iter().zip(standings).map(verdict).collect())
    }

    /// Whether the present log is folded to its end, so that whoever is not known is not in it.
    pub(super) fn is_level(&self) -> bool {
        self.log != Log::NotLevel
    }
}

/// Pure, so that every case can be tried.
fn verdict(
    key: &KeyWithOrigin,
    standing: Standing,
    is_known_elsewhere: bool,
    present: &Origin,
    before: OffsetDateTime,
    log: Log,
) -> Verdict {
    let foreign = match &key.origin {
        None => Some(UndecidedReason::UnknownOrigin),
        Some(origin) if origin.deployment != present.deployment => Some(UndecidedReason::OtherDeployment),
        Some(origin) if origin.log != present.log => Some(UndecidedReason::OtherLog),
        Some(_) => None,
    };
    match (standing, foreign) {
        (Standing::Needed { is_own }, _) => Verdict::Needed { is_ours: is_own && key.origin.is_none() },
        (Standing::Deleted, None) => Verdict::Outlived,
        (Standing::Deleted, Some(_)) => Verdict::Undecided(UndecidedReason::DeletedHere),
        (Standing::Unheard, Some(reason)) => Verdict::Undecided(reason),
        (Standing::Unheard, None) if key.held.asked_at >= before => {
            Verdict::Undecided(UndecidedReason::Young)
        }
        (Standing::Unheard, None) if log == Log::NotLevel => Verdict::Undecided(UndecidedReason::NotLevel),
        (Standing::Unheard, None) if is_known_elsewhere => {
            Verdict::Undecided(UndecidedReason::KnownElsewhere)
        }
        (Standing::Unheard, None) if log == Log::Cut => Verdict::Undecided(UndecidedReason::LogCut),
        (Standing::Unheard, None) => Verdict::Orphan,
    }
}

/// The first and the last offset of each partition.
type Range = BTreeMap<Partition, (i64, i64)>;

async fn ends(settings: &Settings, connection: &mut PgConnection) -> anyhow::Result<Range> {
    let partitions: Vec<i32> =
        sqlx::query_scalar("SELECT partition FROM live.checkpoints WHERE topic = 'users'")
            .fetch_all(connection)
            .await?;
    let partitions: Vec<Partition> =
        partitions.into_iter().map(|partition| (Topic::Users, partition)).collect();
    // Of everything that is written: what lies behind an open transaction may be the create that a key was made for.
    let (users, numbers) = (Topics::new(&settings.topic_prefix).users, partitions.iter().map(|(_, p)| *p));
    let high = kafka::high_watermarks(settings, &users, numbers.collect()).await?;
    let low = log_ends::ends(settings, partitions).await?;
    let both = |((topic, partition), ends): (Partition, Ends)| {
        let high = high.get(&partition).copied().unwrap_or(i64::MAX);
        ((topic, partition), (ends.low, high))
    };
    Ok(low.into_iter().map(both).collect())
}

async fn is_level(connection: &mut PgConnection, ends: &Range) -> sqlx::Result<bool> {
    let rows: Vec<(i32, i64)> =
        sqlx::query_as("SELECT partition, next_offset FROM live.checkpoints WHERE topic = 'users'")
            .fetch_all(connection)
            .await?;
    let next: BTreeMap<i32, i64> = rows.into_iter().collect();
    Ok(ends.iter().all(|((_, partition), (_, high))| next.get(partition).is_some_and(|next| next >= high)))
}

#[cfg(test)]
mod tests;
