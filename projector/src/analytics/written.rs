//! Which events are in the topic already.

use anyhow::Context as _;
use event_log::replay::EndIsNoError;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{BorrowedMessage, Headers as _},
};
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// For one answer of the broker.
const ANSWER: Duration = Duration::from_secs(10);
/// For all that is read: the group must not lose its member over it.
const BOUND: Duration = Duration::from_secs(120);

/// The ids of the derived events that are committed in the topic, as far as they came since then, in milliseconds since 1970.
pub(super) fn ids(config: &ClientConfig, topic: &str, since: i64) -> anyhow::Result<HashSet<Uuid>> {
    let consumer: BaseConsumer<EndIsNoError> =
        config.clone().set("enable.partition.eof", "true").create_with_context(EndIsNoError)?;
    let places =
        places(&consumer, topic, since).context("it can't be asked where to look for what is written")?;
    let mut open: HashSet<i32> = places.elements().iter().map(|place| place.partition()).collect();
    consumer.assign(&places)?;
    let (mut ids, began) = (HashSet::new(), Instant::now());
    while !open.is_empty() {
        if began.elapsed() > BOUND {
            tracing::warn!(
                "the topic of analytic events is long: some events may come a second time, under one id"
            );
            break;
        }
        match consumer.poll(ANSWER).context("what is written can't be read")? {
            Ok(message) => ids.extend(id(&message)),
            Err(KafkaError::PartitionEOF(partition)) => drop(open.remove(&partition)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ids)
}

fn places(
    consumer: &BaseConsumer<EndIsNoError>,
    topic: &str,
    since: i64,
) -> anyhow::Result<TopicPartitionList> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER)?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        // The time stands in the place of an offset, in the question and nowhere else.
        list.add_partition_offset(topic, partition.id(), Offset::Offset(since))?;
    }
    Ok(consumer.offsets_for_times(list, ANSWER)?)
}

/// Ids of ours follow from the domain event's: other events have ids of another version.
fn id(message: &BorrowedMessage<'_>) -> Option<Uuid> {
    let header = message.headers()?.iter().find(|header| header.key == "ce_id")?;
    let id = Uuid::parse_str(std::str::from_utf8(header.value?).ok()?).ok()?;
    (id.get_version_num() == 5).then_some(id)
}
