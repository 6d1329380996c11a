//! The status of each partition, for operators.

use event_log::log_ends;
use events_schema::{Partition, Topic};
use read_model::{
    cache::{CacheKeys, values::parse_next},
    operate::checkpoints::{self, Checkpoint},
};
use service_kit::{
    kafka::{OpenTransaction, Topics, open_transactions},
    settings::Settings,
};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// One partition of one topic.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionStatus {
    /// `users` or `credentials`.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The live generation.
    pub generation: i32,
    /// The first offset that is not folded.
    pub next_offset: i64,
    /// The end of what can be read. An open transaction holds it back. `None`: Kafka could not be
    /// asked.
    pub log_end: Option<i64>,
    /// The number of offsets between the two.
    pub lag: Option<i64>,
    /// The first open transaction of a producer, which holds the end back.
    pub open_transaction: Option<OpenTransaction>,
    /// The owner's epoch.
    pub epoch: i64,
    /// The projector that owns the partition, `<host>/<process id>`. `None`: the last owner gave it
    /// up. A killed projector stays the owner until another one takes over.
    pub owner: Option<String>,
    /// Since when it owns the partition.
    #[serde(with = "time::serde::rfc3339::option")]
    pub owned_since: Option<OffsetDateTime>,
    /// Kafka's time of the last folded record.
    #[serde(with = "time::serde::rfc3339::option")]
    pub record_time: Option<OffsetDateTime>,
    /// The next offset of this generation's cache. `None`: there is no cache, or Redis could not be
    /// asked.
    pub redis_next: Option<i64>,
}

/// The status of every partition of the live generation. If Kafka or Redis is unreachable, its part
/// is missing.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn status(settings: &Settings) -> anyhow::Result<Vec<PartitionStatus>> {
    let pool = read_model::pool(settings)?;
    let rows = checkpoints::live(&pool).await?;
    pool.close().await;
    let partitions: Vec<_> = rows.iter().filter_map(|row| Some((Topic::named(&row.1)?, row.2))).collect();
    let ends = log_ends::ends(settings, partitions).await.unwrap_or_default();
    let open = open(settings, &rows).await.unwrap_or_default();
    let next = redis_next(settings, &rows).await.unwrap_or_default();
    let line = |row| line(row, &ends, &next);
    let with = |status: PartitionStatus| {
        let place = Topic::named(&status.topic).map(|topic| (topic, status.partition));
        PartitionStatus { open_transaction: place.and_then(|place| open.get(&place).cloned()), ..status }
    };
    Ok(rows.into_iter().map(line).map(with).collect())
}

async fn open(
    settings: &Settings,
    rows: &[Checkpoint],
) -> anyhow::Result<BTreeMap<Partition, OpenTransaction>> {
    let topics = Topics::new(&settings.topic_prefix);
    let mut open = BTreeMap::new();
    for topic in Topic::ALL {
        let partitions = rows.iter().filter(|row| row.1 == topic.as_str()).map(|row| row.2).collect();
        let found = open_transactions(settings, log_ends::name_of(&topics, topic), partitions).await?;
        open.extend(found.into_iter().map(|(partition, found)| ((topic, partition), found)));
    }
    Ok(open)
}

fn line(
    row: Checkpoint,
    ends: &BTreeMap<Partition, log_ends::Ends>,
    next: &BTreeMap<i32, i64>,
) -> PartitionStatus {
    let (generation, topic, partition, next_offset, epoch, record_time, owner, owned_since) = row;
    let kind = Topic::named(&topic);
    let log_end = kind.and_then(|kind| ends.get(&(kind, partition))).map(|ends| ends.high);
    let redis_next = next.get(&partition).filter(|_| kind == Some(Topic::Users)).copied();
    let lag = log_end.map(|end| (end - next_offset).max(0));
    PartitionStatus {
        topic,
        partition,
        generation,
        next_offset,
        log_end,
        lag,
        open_transaction: None,
        epoch,
        owner,
        owned_since,
        record_time,
        redis_next,
    }
}

async fn redis_next(settings: &Settings, rows: &[Checkpoint]) -> anyhow::Result<BTreeMap<i32, i64>> {
    let client = redis::Client::open(settings.redis_url()?)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let (keys, mut next) = (CacheKeys::new(&settings.topic_prefix), BTreeMap::new());
    for (generation, _, partition, ..) in rows.iter().filter(|row| row.1 == Topic::Users.as_str()) {
        let value: Option<String> =
            redis::cmd("GET").arg(keys.next(partition)).query_async(&mut connection).await?;
        next.extend(value.and_then(|value| Some((*partition, parse_next(*generation, &value)?.1))));
    }
    Ok(next)
}
