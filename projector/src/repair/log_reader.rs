//! Reads a user's partition of both topics.
//!
//! Users are read from the time at which the user's data key was created: a key is durable before
//! anything is sealed under it. The time in the row counts only together with the key, because the row
//! may be wrong. Whatever the offset, the user's first record there must create the user; otherwise the
//! partition is read from its beginning. Facts about credentials have no sequence that would show a gap,
//! so they are always read from the beginning.

use super::{Beginning, Offsets, RepairProgress, UserFold};
use crate::pipeline::Discarded;
use domain::codec::owner;
use event_log::{
    identity::LogIdentity,
    log_ends::{self, Ends},
    replay::replay,
};
use events_schema::{Timestamp, Topic, UserKey, millis};
use key_store::KeyRing;
use read_model::{operate::export, write::Store};
use service_kit::settings::Settings;
use std::collections::BTreeMap;
use time::{Duration, OffsetDateTime};

/// How far the clocks of the database and of Kafka's producers may be apart.
const CLOCK_SKEW: Duration = Duration::hours(1);

/// The log of a generation.
pub(crate) struct LogReader {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    /// The number of partitions of each topic.
    pub(crate) partition_count: u32,
}

impl LogReader {
    /// A fold that has read nothing yet.
    ///
    /// # Errors
    /// Kafka, PostgreSQL or the key store can't be asked.
    pub(super) async fn begin(&self, user: &UserKey) -> anyhow::Result<UserFold> {
        self.begin_at(user, self.known_since(user).await?).await
    }

    /// A fold from the offset of a time on, or from the beginning.
    async fn begin_at(&self, user: &UserKey, since: Option<OffsetDateTime>) -> anyhow::Result<UserFold> {
        let partition = i32::try_from(user.partition(self.partition_count))?;
        let (users, credentials) = ((Topic::Users, partition), (Topic::Credentials, partition));
        let ends = log_ends::ends(&self.settings, vec![users, credentials]).await?;
        let first = |partition| ends.get(&partition).map_or(0, |Ends { low, .. }| *low);
        let since = since.map(|since| millis(since - CLOCK_SKEW));
        let begin = match since {
            Some(since) => self.offset_at(partition, since).await?.max(first(users)),
            None => first(users),
        };
        let beginning = Beginning { users: begin, credentials: first(credentials), fell_back: false };
        let from_the_start = BTreeMap::from([(users, 0), (credentials, 0)]);
        let discarded = Discarded::load(&self.store.pool, self.store.generation, &from_the_start).await?;
        Ok(UserFold::new(user.clone(), partition, beginning, first(users), discarded))
    }

    /// Since when the user is known, if the key store knows the user.
    async fn known_since(&self, user: &UserKey) -> anyhow::Result<Option<OffsetDateTime>> {
        let Some(key) = self.store.keys.created_at(&owner(user)).await? else { return Ok(None) };
        let row = export::user(&mut *self.store.pool.acquire().await?, user).await?;
        Ok(Some(row.map_or(key, |row| key.min(row.created_at))))
    }

    /// If all records are older, the beginning: then the time is wrong.
    async fn offset_at(&self, partition: i32, time: Timestamp) -> anyhow::Result<i64> {
        let found = log_ends::offset_at(&self.settings, (Topic::Users, partition), time).await?;
        Ok(found.unwrap_or_default())
    }

    /// Reads up to these offsets.
    ///
    /// # Errors
    /// The log ends before or is another one, or Kafka, PostgreSQL or the key store can't be asked.
    pub(crate) async fn read(
        &self,
        fold: Option<UserFold>,
        user: &UserKey,
        to: &Offsets,
        progress: &mut impl FnMut(RepairProgress),
    ) -> anyhow::Result<UserFold> {
        let mut fold = match fold {
            Some(fold) => fold,
            None => self.begin(user).await?,
        };
        self.fold(&mut fold, to, progress).await?;
        if fold.begins_earlier(true) {
            fold = self.begin_at(user, None).await?;
            fold.beginning.fell_back = true;
            self.fold(&mut fold, to, progress).await?;
        }
        // Asked after reading, it proves that the records are of this log.
        let mut identity = LogIdentity::new(&self.settings)?;
        identity.compare(&self.store.pool, self.store.generation).await?.require_same()?;
        Ok(fold)
    }

    async fn fold(
        &self,
        fold: &mut UserFold,
        to: &Offsets,
        progress: &mut impl FnMut(RepairProgress),
    ) -> anyhow::Result<()> {
        let ranges: BTreeMap<_, _> = to
            .iter()
            .map(|(partition, end)| (*partition, fold.reached.get(partition).copied().unwrap_or(*end)..*end))
            .filter(|(_, range)| !range.is_empty())
            .collect();
        if ranges.is_empty() {
            return Ok(());
        }
        // The key may be newer than what was read before.
        fold.set_keys(self.store.keys.get_many(&[owner(&fold.user)]).await?);
        let mut steps = replay(&self.settings, self.partition_count, ranges)?;
        while let Some(step) = steps.recv().await {
            fold.take(step?);
            progress(fold.progress(to));
            if fold.begins_earlier(false) {
                return Ok(());
            }
        }
        // A deletion waits for those who hold the key.
        fold.set_keys(KeyRing::new());
        anyhow::ensure!(fold.behind(to) == 0, "the log ended before the offsets that are folded");
        Ok(())
    }
}
