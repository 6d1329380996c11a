//! Appends to a topic of the copy, with many records on their way at once.

use super::item::Item;
use anyhow::Context as _;
use rdkafka::{
    Message as _,
    producer::{DeliveryFuture, FutureProducer, FutureRecord},
};
use service_kit::{kafka, settings::Settings};
use std::collections::VecDeque;

/// Records and bytes on their way, at most: less than what the producer would refuse.
const WINDOW: usize = 4_000;
const WINDOW_BYTES: usize = 32 << 20;

/// Nobody waits for a single record, so batches may fill up, and the log may be slow. A record that is in the log is not too large for it.
const PATIENT: [(&str, &str); 3] =
    [("linger.ms", "20"), ("message.timeout.ms", "60000"), ("message.max.bytes", "64000000")];

/// A record's place before and after.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved {
    /// Partition and offset in the topic that is copied.
    pub(super) from: (i32, i64),
    /// Partition and offset in the copy.
    pub(super) to: (i32, i64),
}

pub(super) struct Writer {
    producer: FutureProducer,
    topic: String,
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

struct Waiting {
    from: (i32, i64),
    bytes: usize,
    delivery: DeliveryFuture,
}

impl Writer {
    pub(super) fn new(settings: &Settings, topic: &str) -> anyhow::Result<Self> {
        let mut config = kafka::producer_config(settings)?;
        for (key, value) in PATIENT.into_iter().filter(|(key, _)| !settings.kafka.contains_key(*key)) {
            config.set(key, value);
        }
        let producer = config.create().context("the Kafka client can't be made")?;
        Ok(Self { producer, topic: topic.to_owned(), waiting: VecDeque::new(), bytes: 0 })
    }

    /// Appends a record as it is; tells of those that arrived meanwhile.
    pub(super) async fn write(
        &mut self,
        item: Item,
        partition: i32,
        mut arrived: impl FnMut(Moved),
    ) -> anyhow::Result<()> {
        while self.waiting.len() >= WINDOW || self.bytes > WINDOW_BYTES {
            arrived(self.first().await?);
        }
        let record = FutureRecord {
            topic: &self.topic,
            partition: Some(partition),
            payload: item.message.payload(),
            key: item.message.key(),
            timestamp: item.message.timestamp().to_millis(),
            headers: item.message.headers().cloned(),
        };
        let sent = self.producer.send_result(record).map_err(|(error, _)| error);
        let delivery = sent.with_context(|| format!("a record can't be appended to {}", self.topic))?;
        self.bytes += item.bytes;
        self.waiting.push_back(Waiting { from: (item.partition, item.offset), bytes: item.bytes, delivery });
        Ok(())
    }

    /// Waits for everything that is on its way.
    pub(super) async fn finish(&mut self, mut arrived: impl FnMut(Moved)) -> anyhow::Result<()> {
        while !self.waiting.is_empty() {
            arrived(self.first().await?);
        }
        Ok(())
    }

    async fn first(&mut self) -> anyhow::Result<Moved> {
        let Waiting { from, bytes, delivery } = self.waiting.pop_front().context("nothing is on its way")?;
        self.bytes -= bytes;
        let delivered = delivery.await.context("the producer is gone")?.map_err(|(error, _)| error);
        let at = delivered.with_context(|| format!("a record was not appended to {}", self.topic))?;
        Ok(Moved { from, to: (at.partition, at.offset) })
    }
}
