//! What is stored about records by their places in the log: which are discarded, and which have had
//! their analytic event. It is stored again for their places in the copy.

use super::writer::Moved;
use crate::{analytics, migrate};
use anyhow::Context as _;
use event_log::{
    cuts,
    identity::{self, LogIdentity},
    log_ends::{BROKER_TIMEOUT, name_of},
};
use events_schema::Topic;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
};
use read_model::{
    locks::lock_schema,
    operate::{
        cuts::record_copied,
        logs::{self, MovedRecord},
    },
};
use service_kit::{
    kafka::{self, Topics},
    settings::Settings,
};
use sqlx::PgPool;
use std::collections::{BTreeMap, BTreeSet};

/// What is carried over for a topic.
#[derive(Default)]
pub(super) struct CarriedOver {
    discarded: BTreeSet<(i32, i64)>,
    /// Up to where analytic events are derived, for each partition of `users.events`.
    derived: BTreeMap<i32, i64>,
    /// The old and new places of discarded records.
    moved: Vec<((i32, i64), (i32, i64))>,
    /// The first record of each partition of the copy whose analytic event is not derived yet.
    underived: BTreeMap<i32, i64>,
    /// The end of each partition of the copy.
    ends: BTreeMap<i32, i64>,
}

impl CarriedOver {
    /// Loads what is stored about a topic's records.
    pub(super) async fn load(settings: &Settings, pool: &PgPool, topic: Topic) -> anyhow::Result<Self> {
        let derived = match topic {
            Topic::Users => derived_offsets(settings).await?,
            Topic::Credentials => BTreeMap::new(),
        };
        Ok(Self { discarded: discarded(settings, pool, topic).await?, derived, ..Self::default() })
    }

    /// Records the new place of a record.
    pub(super) fn record_moved(&mut self, Moved { from, to }: Moved) {
        if self.discarded.contains(&from) {
            self.moved.push((from, to));
        }
        if self.derived.get(&from.0).is_none_or(|next| from.1 >= *next) {
            let first = self.underived.entry(to.0).or_insert(to.1);
            *first = to.1.min(*first);
        }
        let end = self.ends.entry(to.0).or_default();
        *end = (to.1 + 1).max(*end);
    }

    /// The offsets of the copy from which analytic events are still to be derived.
    fn analytics_offsets(&self) -> impl Iterator<Item = (i32, i64)> {
        let next =
            |(partition, end): (&i32, &i64)| (*partition, *self.underived.get(partition).unwrap_or(end));
        self.ends.iter().map(next)
    }
}

/// Up to where analytic events of the log are derived.
async fn derived_offsets(settings: &Settings) -> anyhow::Result<BTreeMap<i32, i64>> {
    let mut config = kafka::client_config(settings)?;
    config.set("group.id", analytics::group_of(&settings.topic_prefix));
    let topic = Topics::new(&settings.topic_prefix).users;
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create()?;
        let metadata = consumer.fetch_metadata(Some(&topic), BROKER_TIMEOUT)?;
        let mut list = TopicPartitionList::new();
        for partition in metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions) {
            list.add_partition(&topic, partition.id());
        }
        let committed = consumer.committed_offsets(list, BROKER_TIMEOUT)?;
        let offset =
            |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element.offset() {
                Offset::Offset(next) => Some((element.partition(), next)),
                _ => None,
            };
        Ok(committed.elements().iter().filter_map(offset).collect())
    })
    .await?
}

async fn discarded(settings: &Settings, pool: &PgPool, topic: Topic) -> anyhow::Result<BTreeSet<(i32, i64)>> {
    let Some(epoch) = epoch(settings, pool).await? else { return Ok(BTreeSet::new()) };
    Ok(logs::discarded(pool, epoch, topic).await?)
}

/// The epoch of the log with these settings, if the read model knows it.
async fn epoch(settings: &Settings, pool: &PgPool) -> anyhow::Result<Option<i32>> {
    let log = LogIdentity::new(settings)?.present().await?;
    let mut connection = pool.acquire().await?;
    Ok(identity::known_epoch(&mut connection, &log.ids).await?)
}

/// Stores for the copy what is known about the log.
///
/// # Errors
/// Kafka or PostgreSQL fails.
pub(super) async fn store(
    from: &Settings,
    to: &Settings,
    pool: &PgPool,
    carried_over: &BTreeMap<Topic, CarriedOver>,
) -> anyhow::Result<()> {
    store_discarded(from, to, pool, carried_over).await?;
    match carried_over.get(&Topic::Users) {
        Some(users) => store_analytics_offsets(to, users).await,
        None => Ok(()),
    }
}

/// Stores the discarded records, and the cuts of the log.
async fn store_discarded(
    from: &Settings,
    to: &Settings,
    pool: &PgPool,
    carried_over: &BTreeMap<Topic, CarriedOver>,
) -> anyhow::Result<()> {
    let Some(old) = epoch(from, pool).await? else { return Ok(()) };
    let copy = LogIdentity::new(to)?.present().await?;
    let mut transaction = pool.begin().await?;
    lock_schema(&mut transaction).await?;
    // A migration rejects a log that got more partitions, so tables of this release may be missing.
    migrate::create_shared(&mut transaction).await?;
    identity::fill_counts(&mut transaction).await?;
    let new = identity::register(&mut transaction, &copy).await?;
    let moved = carried_over.iter().flat_map(|(topic, of_topic)| {
        of_topic.moved.iter().map(|(from, to)| MovedRecord { topic: *topic, from: *from, to: *to })
    });
    for record in moved {
        logs::copy_discarded(&mut transaction, (old, new), record).await?;
    }
    for cut in cuts::cuts_of_log(from, &mut transaction).await? {
        record_copied(&mut transaction, new, (cut.kind, cut.partition), cut.first_offset).await?;
    }
    Ok(transaction.commit().await?)
}

/// Commits the offsets of analytics, so that no event is derived a second time.
async fn store_analytics_offsets(to: &Settings, users: &CarriedOver) -> anyhow::Result<()> {
    let mut config = kafka::client_config(to)?;
    config.set("group.id", analytics::group_of(&to.topic_prefix)).set("enable.auto.commit", "false");
    let topics = Topics::new(&to.topic_prefix);
    let mut list = TopicPartitionList::new();
    for (partition, next) in users.analytics_offsets() {
        list.add_partition_offset(name_of(&topics, Topic::Users), partition, Offset::Offset(next))?;
    }
    if list.count() == 0 {
        return Ok(());
    }
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create()?;
        consumer.commit(&list, CommitMode::Sync).context("the offsets of analytics can't be committed")
    })
    .await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn analytics_continue_at_the_first_underived_record() {
        let mut carried_over = CarriedOver {
            discarded: [(0, 7)].into(),
            derived: [(0, 8), (1, 3)].into(),
            ..CarriedOver::default()
        };
        let moves =
            [((0, 7), (0, 0)), ((1, 2), (0, 1)), ((1, 3), (0, 2)), ((1, 4), (0, 3)), ((0, 6), (1, 0))];
        for (from, to) in moves {
            carried_over.record_moved(Moved { from, to });
        }
        assert_eq!(carried_over.analytics_offsets().collect::<Vec<_>>(), [(0, 2), (1, 1)]);
        assert_eq!(carried_over.moved, [((0, 7), (0, 0))]);
        // Nothing is derived of a partition that the group has never read.
        carried_over.record_moved(Moved { from: (5, 0), to: (1, 1) });
        assert_eq!(carried_over.analytics_offsets().collect::<Vec<_>>(), [(0, 2), (1, 1)]);
    }
}
