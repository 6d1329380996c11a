//! Read-process-write: the events and the offsets that they were derived from, together or not at all.

use super::{note::Note, pending::Settled, session::Doubt};
use anyhow::Context as _;
use events_schema::analytics::AnalyticEvent;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::ConsumerGroupMetadata,
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
    types::RDKafkaErrorCode,
};
use std::time::Duration;
use time::OffsetDateTime;

/// For one call to the broker; as long as a transaction may stay open.
const CALL: Duration = Duration::from_secs(10);
/// To leave nothing open behind a failure; the broker does it by itself, only later.
const ABORT: Duration = Duration::from_secs(2);

/// The producer of one assignment.
pub(super) struct Transactions {
    producer: BaseProducer,
    /// The number in the id.
    first: i32,
    source: String,
    target: String,
}

impl Transactions {
    /// Makes the producer. Its id is that of the assignment's first partition, which one member of the group has at a time: so the
    /// transaction that a killed predecessor left open ends here and now, and not when the broker loses patience. A member
    /// that does not know yet that it lost its partitions is fenced off by the id, and by the group's generation in any case.
    pub(super) fn start(
        config: &ClientConfig,
        group: &str,
        first: i32,
        source: &str,
        target: &str,
    ) -> anyhow::Result<Self> {
        let producer: BaseProducer =
            config.clone().set("transactional.id", format!("{group}-{first}")).create()?;
        producer.init_transactions(CALL).context("transactions can't be started")?;
        Ok(Self { producer, first, source: source.to_owned(), target: target.to_owned() })
    }

    /// Ends what an earlier transaction of this id has left open. The coordinator takes that one for ended, so it won't do it: where a broker is
    /// stopped, its partitions have no leader for a moment, and markers for them are left out as if they were deleted. A transaction that is
    /// aborted in all partitions takes along what hangs there.
    pub(super) fn end_what_hangs(&self, group: &ConsumerGroupMetadata) -> anyhow::Result<()> {
        let metadata = self.producer.client().fetch_metadata(Some(&self.target), CALL)?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        self.producer.begin_transaction()?;
        let filled = self.touch(partitions.map(|partition| partition.id()), group);
        let aborted = self.producer.abort_transaction(CALL);
        filled.and(aborted.map_err(Into::into))
    }

    /// Writes to the partitions, and commits an offset, so that the transaction's end is told there.
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
        self.producer.send_offsets_to_transaction(&offsets, group, CALL)?;
        Ok(self.producer.flush(CALL)?)
    }

    /// Writes the events and moves the group's offsets.
    pub(super) fn commit(
        &self,
        group: &ConsumerGroupMetadata,
        settled: &[Settled],
        successes: &[&AnalyticEvent],
        doubt: &Doubt,
    ) -> anyhow::Result<()> {
        let at = i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000)?;
        self.producer.begin_transaction()?;
        let outcome = self
            .fill(group, settled, successes, (at, doubt))
            .and_then(|()| Ok(self.producer.commit_transaction(CALL)?));
        if outcome.is_err() {
            // Of no use, and refused, where the producer is dead or the commit is under way: whoever comes next finds out which.
            let _ = self.producer.abort_transaction(ABORT);
        }
        outcome
    }

    fn fill(
        &self,
        group: &ConsumerGroupMetadata,
        settled: &[Settled],
        successes: &[&AnalyticEvent],
        (at, doubt): (i64, &Doubt),
    ) -> anyhow::Result<()> {
        for event in successes {
            self.send(event)?;
        }
        let mut offsets = TopicPartitionList::new();
        for Settled { partition, from, next } in settled {
            let until = doubt.until.get(partition).copied().unwrap_or(0);
            let since = if *from < until { doubt.since } else { at };
            let note = Note { from: *from, at, since, is_open: *next < until, by: self.first };
            let mut place = offsets.add_partition(&self.source, *partition);
            place.set_offset(Offset::Offset(*next))?;
            place.set_metadata(note.to_string());
        }
        Ok(self.producer.send_offsets_to_transaction(&offsets, group, CALL)?)
    }

    fn send(&self, event: &AnalyticEvent) -> anyhow::Result<()> {
        let value = event.value();
        let record =
            BaseRecord::to(&self.target).key(&event.request_id).payload(&value).headers(headers(event));
        match self.producer.send(record) {
            // It would never fit, and must not keep all others from following.
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => {
                tracing::error!(id = %event.id, "an analytic event is larger than the topic takes, and is left out");
                Ok(())
            }
            outcome => outcome.map_err(|(error, _)| error.into()),
        }
    }
}

fn headers(event: &AnalyticEvent) -> OwnedHeaders {
    let headers = event.headers();
    let owned = OwnedHeaders::new_with_capacity(headers.len());
    headers.iter().fold(owned, |owned, (key, value)| owned.insert(Header { key, value: Some(value) }))
}
