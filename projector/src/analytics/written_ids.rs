//! Which derived events are in the topic already.

use anyhow::Context as _;
use event_log::replay::EndIsNoError;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::BorrowedMessage,
};
use service_kit::kafka::{await_open_transactions, header};
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// How long a broker may take to answer.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time for open transactions to end. Brokers end one of ours within 20 s.
const MAX_OPEN: Duration = Duration::from_secs(60);
/// The longest time for reading. A longer one could cost the membership in the group.
const MAX_TIME: Duration = Duration::from_secs(120);

/// The ids of the derived events that were committed to the topic since a time in milliseconds
/// since 1970.
pub(super) fn written_ids(config: &ClientConfig, topic: &str, since: i64) -> anyhow::Result<HashSet<Uuid>> {
    let consumer: BaseConsumer<EndIsNoError> =
        config.clone().set("enable.partition.eof", "true").create_with_context(EndIsNoError)?;
    let partitions = partitions(&consumer, topic).context("the partitions can't be asked")?;
    // A killed member may have left one open. What others have committed since lies behind it.
    await_open_transactions(config, topic, &partitions, MAX_OPEN)?;
    let offsets = offsets(&consumer, topic, &partitions, since)
        .context("the offsets of written events can't be asked")?;
    let mut open: HashSet<i32> = offsets.elements().iter().map(|element| element.partition()).collect();
    consumer.assign(&offsets)?;
    let (mut ids, started) = (HashSet::new(), Instant::now());
    while !open.is_empty() {
        if started.elapsed() > MAX_TIME {
            tracing::warn!(
                "the topic of analytic events is too long to read: some events may be written twice, with the same id"
            );
            break;
        }
        match consumer.poll(BROKER_TIMEOUT).context("written events can't be read")? {
            Ok(message) => ids.extend(id(&message)),
            Err(KafkaError::PartitionEOF(partition)) => drop(open.remove(&partition)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ids)
}

fn partitions(consumer: &BaseConsumer<EndIsNoError>, topic: &str) -> anyhow::Result<Vec<i32>> {
    let metadata = consumer.fetch_metadata(Some(topic), BROKER_TIMEOUT)?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    Ok(partitions.map(|partition| partition.id()).collect())
}

fn offsets(
    consumer: &BaseConsumer<EndIsNoError>,
    topic: &str,
    partitions: &[i32],
    since: i64,
) -> anyhow::Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        // The request takes times in the place of offsets.
        list.add_partition_offset(topic, *partition, Offset::Offset(since))?;
    }
    Ok(consumer.offsets_for_times(list, BROKER_TIMEOUT)?)
}

/// The id of a derived event. It is made from the domain event's id. Other events have ids of
/// another UUID version.
fn id(message: &BorrowedMessage<'_>) -> Option<Uuid> {
    let id = Uuid::try_parse_ascii(header(message, "ce_id")?).ok()?;
    (id.get_version_num() == 5).then_some(id)
}
