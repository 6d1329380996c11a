//! The status of each partition, for operators.

use event_log::log_ends;
use events_schema::{Partition, Topic};
use read_model::{
    cache::{CacheKeys, values::parse_next},
    generation,
    operate::checkpoints::{self, CheckpointRow},
};
use service_kit::{
    kafka::{OpenTransaction, Topics, open_transactions},
    settings::Settings,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use time::OffsetDateTime;

/// One partition of one topic.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionStatus {
    /// The topic.
    pub topic: Topic,
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

/// What to tell operators if an older fold has made the live generation.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn older_fold(settings: &Settings) -> anyhow::Result<Option<String>> {
    let pool = read_model::pool(settings)?;
    let found = generation::older_fold(&pool).await;
    pool.close().await;
    Ok(found?)
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
    let partitions = rows.iter().map(|row| (row.topic, row.partition)).collect();
    let ends = log_ends::ends(settings, partitions).await.unwrap_or_default();
    let mut open = open(settings, &rows).await.unwrap_or_default();
    let cached = cached_offsets(settings, &rows).await.unwrap_or_default();
    let partition = |row: CheckpointRow| {
        let place = (row.topic, row.partition);
        let log_end = ends.get(&place).map(|ends| ends.high);
        PartitionStatus {
            topic: row.topic,
            partition: row.partition,
            generation: row.generation,
            next_offset: row.next_offset,
            log_end,
            lag: log_end.map(|end| (end - row.next_offset).max(0)),
            open_transaction: open.remove(&place),
            epoch: row.epoch,
            owner: row.owner,
            owned_since: row.owned_since,
            record_time: row.record_time,
            redis_next: cached.get(&place).copied(),
        }
    };
    Ok(rows.into_iter().map(partition).collect())
}

/// How many records per second each partition folds, measured over a while. 0 if another generation
/// is promoted meanwhile.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn rates(settings: &Settings, over: Duration) -> anyhow::Result<BTreeMap<Partition, f64>> {
    let pool = read_model::pool(settings)?;
    let (first, begin) = (checkpoints::live(&pool).await?, Instant::now());
    tokio::time::sleep(over).await;
    let (second, took) = (checkpoints::live(&pool).await?, begin.elapsed());
    pool.close().await;
    let place = |row: &CheckpointRow| (row.topic, row.partition);
    let rate = |now: &CheckpointRow| (place(now), rate(&first, now, took));
    Ok(second.iter().map(rate).collect())
}

/// Records per second since the first measurement.
fn rate(first: &[CheckpointRow], now: &CheckpointRow, took: Duration) -> f64 {
    let place = |row: &CheckpointRow| (row.generation, row.topic, row.partition);
    let before = first.iter().find(|before| place(before) == place(now));
    let folded = before.map_or(0, |before| now.next_offset - before.next_offset);
    #[allow(clippy::cast_precision_loss, reason = "precise enough for a rate")]
    let rate = folded as f64 / took.as_secs_f64();
    (rate * 10.0).round() / 10.0
}

/// The first open transaction of each partition.
async fn open(
    settings: &Settings,
    rows: &[CheckpointRow],
) -> anyhow::Result<BTreeMap<Partition, OpenTransaction>> {
    let topics = Topics::new(&settings.topic_prefix);
    let mut open = BTreeMap::new();
    for topic in Topic::ALL {
        let partitions = rows.iter().filter(|row| row.topic == topic).map(|row| row.partition).collect();
        let found = open_transactions(settings, log_ends::name_of(&topics, topic), partitions).await?;
        open.extend(found.into_iter().map(|(partition, found)| ((topic, partition), found)));
    }
    Ok(open)
}

/// The next offset of each partition's cache, if the cache is of the same generation.
async fn cached_offsets(
    settings: &Settings,
    rows: &[CheckpointRow],
) -> anyhow::Result<BTreeMap<Partition, i64>> {
    let client = redis::Client::open(settings.redis_url()?)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let (keys, mut next) = (CacheKeys::new(&settings.topic_prefix), BTreeMap::new());
    for row in rows.iter().filter(|row| row.topic == Topic::Users) {
        let key = keys.next(row.partition);
        let value: Option<String> = redis::cmd("GET").arg(key).query_async(&mut connection).await?;
        let offset = value.and_then(|value| Some(parse_next(row.generation, &value)?.1.held()));
        next.extend(offset.map(|offset| ((row.topic, row.partition), offset)));
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_measured_within_one_generation() {
        let at = |generation, next_offset| CheckpointRow {
            generation,
            topic: Topic::Users,
            partition: 3,
            next_offset,
            epoch: 1,
            record_time: None,
            owner: None,
            owned_since: None,
        };
        let took = Duration::from_millis(500);
        assert_eq!((rate(&[at(1, 10)], &at(1, 25), took), rate(&[at(1, 10)], &at(2, 25), took)), (30.0, 0.0));
    }
}
