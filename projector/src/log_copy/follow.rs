//! What is known of records by their places, said anew of their places in the copy: which were discarded, and which have had their analytic
//! event.

use super::writer::Moved;
use crate::migrate;
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

/// Where records of a topic are now, as far as it matters.
#[derive(Default)]
pub(super) struct Followed {
    discarded: BTreeSet<(i32, i64)>,
    /// Up to where the analytic events of each partition are made; only of `users.events`.
    told: BTreeMap<i32, i64>,
    /// The new places of what was discarded, after the old ones.
    moved: Vec<((i32, i64), (i32, i64))>,
    /// In each partition of the copy the first record whose analytic event is still to be made.
    untold: BTreeMap<i32, i64>,
    /// The end of each partition of the copy.
    ends: BTreeMap<i32, i64>,
}

impl Followed {
    /// What is known of a topic's records.
    pub(super) async fn load(settings: &Settings, pool: &PgPool, topic: Topic) -> anyhow::Result<Self> {
        let told = match topic {
            Topic::Users => told(settings).await?,
            Topic::Credentials => BTreeMap::new(),
        };
        Ok(Self { discarded: discarded(settings, pool, topic).await?, told, ..Self::default() })
    }

    /// A record arrived in the copy.
    pub(super) fn arrived(&mut self, Moved { from, to }: Moved) {
        if self.discarded.contains(&from) {
            self.moved.push((from, to));
        }
        if self.told.get(&from.0).is_none_or(|next| from.1 >= *next) {
            let first = self.untold.entry(to.0).or_insert(to.1);
            *first = to.1.min(*first);
        }
        let end = self.ends.entry(to.0).or_default();
        *end = (to.1 + 1).max(*end);
    }

    /// Where the analytic events of the copy go on.
    fn next(&self) -> impl Iterator<Item = (i32, i64)> {
        let next = |(partition, end): (&i32, &i64)| (*partition, *self.untold.get(partition).unwrap_or(end));
        self.ends.iter().map(next)
    }
}

/// Who makes analytic events of a log.
fn group(settings: &Settings) -> String {
    format!("{}rollcall-analytics", settings.topic_prefix)
}

/// Up to where the analytic events of a log are made.
async fn told(settings: &Settings) -> anyhow::Result<BTreeMap<i32, i64>> {
    let mut config = kafka::client_config(settings)?;
    config.set("group.id", group(settings));
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

/// Under which number the read model knows the log of these settings, if it does.
async fn epoch(settings: &Settings, pool: &PgPool) -> anyhow::Result<Option<i32>> {
    let log = LogIdentity::new(settings)?.present().await?;
    let mut connection = pool.acquire().await?;
    Ok(identity::known_epoch(&mut connection, &log.ids).await?)
}

/// Says of the copy what was known of the log.
///
/// # Errors
/// Kafka or Postgres fails.
pub(super) async fn say(
    from: &Settings,
    to: &Settings,
    pool: &PgPool,
    followed: &BTreeMap<Topic, Followed>,
) -> anyhow::Result<()> {
    say_discarded(from, to, pool, followed).await?;
    match followed.get(&Topic::Users) {
        Some(users) => say_told(to, users).await,
        None => Ok(()),
    }
}

/// What was discarded, and what the log had lost before it was copied.
async fn say_discarded(
    from: &Settings,
    to: &Settings,
    pool: &PgPool,
    followed: &BTreeMap<Topic, Followed>,
) -> anyhow::Result<()> {
    let Some(old) = epoch(from, pool).await? else { return Ok(()) };
    let copy = LogIdentity::new(to)?.present().await?;
    let mut transaction = pool.begin().await?;
    lock_schema(&mut transaction).await?;
    // A migration refuses a log with more partitions, so what this build needs may not be there yet.
    migrate::create_shared(&mut transaction).await?;
    identity::fill_counts(&mut transaction).await?;
    let new = identity::register(&mut transaction, &copy).await?;
    let moved = followed.iter().flat_map(|(topic, followed)| {
        followed.moved.iter().map(|(from, to)| MovedRecord { topic: *topic, from: *from, to: *to })
    });
    for record in moved {
        logs::copy_discarded(&mut transaction, (old, new), record).await?;
    }
    for cut in cuts::cuts_of_log(from, &mut transaction).await? {
        record_copied(&mut transaction, new, (cut.kind, cut.partition), cut.first_offset).await?;
    }
    Ok(transaction.commit().await?)
}

/// So that no analytic event is made a second time of what was told before.
async fn say_told(to: &Settings, users: &Followed) -> anyhow::Result<()> {
    let mut config = kafka::client_config(to)?;
    config.set("group.id", group(to)).set("enable.auto.commit", "false");
    let topics = Topics::new(&to.topic_prefix);
    let mut list = TopicPartitionList::new();
    for (partition, next) in users.next() {
        list.add_partition_offset(name_of(&topics, Topic::Users), partition, Offset::Offset(next))?;
    }
    if list.count() == 0 {
        return Ok(());
    }
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create()?;
        consumer.commit(&list, CommitMode::Sync).context("the position of analytic events can't be set")
    })
    .await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn analytic_events_go_on_at_the_first_that_is_still_to_be_made() {
        let mut followed =
            Followed { discarded: [(0, 7)].into(), told: [(0, 8), (1, 3)].into(), ..Followed::default() };
        let moves =
            [((0, 7), (0, 0)), ((1, 2), (0, 1)), ((1, 3), (0, 2)), ((1, 4), (0, 3)), ((0, 6), (1, 0))];
        for (from, to) in moves {
            followed.arrived(Moved { from, to });
        }
        assert_eq!(followed.next().collect::<Vec<_>>(), [(0, 2), (1, 1)]);
        assert_eq!(followed.moved, [((0, 7), (0, 0))]);
        // Of a partition that the group has never read, nothing was told.
        followed.arrived(Moved { from: (5, 0), to: (1, 1) });
        assert_eq!(followed.next().collect::<Vec<_>>(), [(0, 2), (1, 1)]);
    }
}
