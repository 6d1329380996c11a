//! Kafka transactions: the events are written together with the offsets that they were derived
//! from.

use super::{offset_note::OffsetNote, pending::Committable, start_plan::PossibleDuplicates};
use anyhow::Context as _;
use events_schema::analytics::AnalyticEvent;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::ConsumerGroupMetadata,
    error::KafkaError,
    producer::{BaseProducer, BaseRecord, Producer as _},
    types::RDKafkaErrorCode,
};
use service_kit::kafka::owned_headers;
use std::time::Duration;
use time::OffsetDateTime;

/// How long a call to a broker may take: as long as a transaction may stay open.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an abort after a failure may take. The broker would abort the transaction later.
const ABORT_TIMEOUT: Duration = Duration::from_secs(2);

/// The producer of one assignment.
pub(super) struct Transactions {
    producer: BaseProducer,
    /// The number in the transactional id.
    first: i32,
    source: String,
    target: String,
}

impl Transactions {
    /// Creates the producer. Its transactional id has the number of the first assigned partition,
    /// which only one member of the group has at a time. Therefore a transaction that a killed
    /// predecessor left open ends now, and not only at its timeout. A member that does not know yet
    /// that it lost its partitions is fenced off by the id, and in any case by the group's
    /// generation.
    pub(super) fn start(
        config: &ClientConfig,
        group: &str,
        first: i32,
        source: &str,
        target: &str,
    ) -> anyhow::Result<Self> {
        let producer: BaseProducer =
            config.clone().set("transactional.id", format!("{group}-{first}")).create()?;
        producer.init_transactions(CALL_TIMEOUT).context("the transactional producer can't be started")?;
        Ok(Self { producer, first, source: source.to_owned(), target: target.to_owned() })
    }

    /// Ends what an earlier transaction of this id has left open in some partitions. The
    /// coordinator considers that transaction ended: when a broker stops, its partitions have no
    /// leader for a moment, and markers for them are skipped as if the partitions were deleted. A
    /// transaction that is aborted in all partitions ends what is open there too.
    pub(super) fn abort_unfinished(&self, group: &ConsumerGroupMetadata) -> anyhow::Result<()> {
        let metadata = self.producer.client().fetch_metadata(Some(&self.target), CALL_TIMEOUT)?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        self.producer.begin_transaction()?;
        let touched = self.touch(partitions.map(|partition| partition.id()), group);
        let aborted = self.producer.abort_transaction(CALL_TIMEOUT);
        touched.and(aborted.map_err(Into::into))
    }

    /// Writes to the partitions and commits an offset, so that the end of the transaction is marked
    /// in all of them.
    fn touch(
        &self,
        partitions: impl Iterator<Item = i32>,
        group: &ConsumerGroupMetadata,
    ) -> anyhow::Result<()> {
        for partition in partitions {
            let record = BaseRecord::<(), str>::to(&self.target).partition(partition).payload("{}");
            self.producer.send(record).map_err(|(error, _)| error)?;
        }
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&self.source, self.first, Offset::Offset(0))?;
        self.producer.send_offsets_to_transaction(&offsets, group, CALL_TIMEOUT)?;
        Ok(self.producer.flush(CALL_TIMEOUT)?)
    }

    /// Writes the events and moves the group's offsets.
    pub(super) fn commit(
        &self,
        group: &ConsumerGroupMetadata,
        parts: &[Committable],
        successes: &[&AnalyticEvent],
        duplicates: &PossibleDuplicates,
    ) -> anyhow::Result<()> {
        let at = i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000)?;
        self.producer.begin_transaction()?;
        let outcome = self
            .write(group, parts, successes, (at, duplicates))
            .and_then(|()| Ok(self.producer.commit_transaction(CALL_TIMEOUT)?));
        if outcome.is_err() {
            // Fails if the producer is dead or the commit is in progress. The next session finds
            // out which.
            let _ = self.producer.abort_transaction(ABORT_TIMEOUT);
        }
        outcome
    }

    fn write(
        &self,
        group: &ConsumerGroupMetadata,
        parts: &[Committable],
        successes: &[&AnalyticEvent],
        (at, duplicates): (i64, &PossibleDuplicates),
    ) -> anyhow::Result<()> {
        for event in successes {
            self.send(event)?;
        }
        let mut offsets = TopicPartitionList::new();
        for Committable { partition, from, next } in parts {
            let until = duplicates.until.get(partition).copied().unwrap_or(0);
            let since = if *from < until { duplicates.since } else { at };
            let note = OffsetNote { from: *from, at, since, is_open: *next < until, by: self.first };
            let mut element = offsets.add_partition(&self.source, *partition);
            element.set_offset(Offset::Offset(*next))?;
            element.set_metadata(note.to_string());
        }
        Ok(self.producer.send_offsets_to_transaction(&offsets, group, CALL_TIMEOUT)?)
    }

    fn send(&self, event: &AnalyticEvent) -> anyhow::Result<()> {
        let value = event.value();
        let record = BaseRecord::to(&self.target)
            .key(&event.request_id)
            .payload(&value)
            .headers(owned_headers(&event.headers()));
        match self.producer.send(record) {
            // It would never fit, and must not block the events behind it.
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => {
                tracing::error!(id = %event.id, "an analytic event is larger than the topic accepts, so it is left out");
                Ok(())
            }
            outcome => outcome.map_err(|(error, _)| error.into()),
        }
    }
}
