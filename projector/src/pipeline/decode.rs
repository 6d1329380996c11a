//! Step 2, decode: what a record says. The consumer's thread decodes each message. A record that
//! can't be decoded becomes a dead letter when it is folded.

use event_log::record::{Fact, Record};
use events_schema::{Partition, Place, Topic};
use rdkafka::message::BorrowedMessage;
use read_model::operate::discarded;
use sqlx::PgPool;
use std::collections::{BTreeMap, BTreeSet};

/// Decodes a message. `partition_count` is the number of partitions of its topic.
pub(super) fn decode(topic: Topic, message: &BorrowedMessage<'_>, partition_count: u32) -> Record {
    Record::read(topic, message, partition_count)
}

/// Records that an operator discarded and that are not folded yet. They are skipped permanently, in
/// rebuilds too.
#[derive(Debug, Default)]
pub(crate) struct Discarded(pub(crate) BTreeSet<Place>);

impl Discarded {
    /// Loads those of a generation's log that lie at or after these offsets.
    ///
    /// # Errors
    /// The query failed.
    pub(crate) async fn load(
        pool: &PgPool,
        generation: i32,
        offsets: &BTreeMap<Partition, i64>,
    ) -> sqlx::Result<Self> {
        let places = discarded::of_generation(pool, generation).await?;
        let is_ahead =
            |(partition, offset): &Place| offsets.get(partition).is_some_and(|next| offset >= next);
        Ok(Self(places.into_iter().filter(is_ahead).collect()))
    }

    /// Replaces what the record says if it is one of them.
    pub(crate) fn apply(&self, mut record: Record) -> Record {
        if self.0.contains(&(record.partition, record.offset)) {
            record.fact = Fact::Discarded;
        }
        record
    }
}
