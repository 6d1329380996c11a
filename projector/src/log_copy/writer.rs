//! Appends to a topic of the copy, without waiting for each record.

use super::record::SourceRecord;
use anyhow::Context as _;
use rdkafka::{
    ClientConfig, ClientContext, Message as _,
    config::{FromClientConfigAndContext as _, RDKafkaLogLevel},
    error::KafkaError,
    producer::{DeliveryFuture, FutureProducer, FutureRecord},
};
use service_kit::{
    kafka::{self, OwnSettings},
    settings::{NotSet, Settings},
};
use std::{collections::VecDeque, time::Duration};

/// The most records in flight. The producer would accept more.
const WINDOW: usize = 4_000;
/// The most bytes in flight.
const WINDOW_BYTES: usize = 32 << 20;

/// Nobody waits for a single record, so batches may fill up. A record that is in the log is never
/// too large.
const OWN_SETTINGS: OwnSettings<'_> =
    OwnSettings { defaults: &[("linger.ms", "20"), ("message.max.bytes", "64000000")], required: &[] };
/// How long a record may take, unless the operator sets it.
const RECORD_TIMEOUT: Duration = Duration::from_secs(60);

/// The old and the new place of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved {
    /// Partition and offset in the topic that is copied.
    pub(super) from: (i32, i64),
    /// Partition and offset in the copy.
    pub(super) to: (i32, i64),
}

/// Logs as every other client of ours does.
struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        kafka::log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        kafka::log_error(&error, reason);
    }
}

fn config(settings: &Settings) -> Result<ClientConfig, NotSet> {
    let mut config = kafka::producer_config(settings)?;
    OWN_SETTINGS.add_to(&mut config, settings);
    // The base configuration has none. This client may give a record up, because the copy then
    // ends.
    let timeout = kafka::record_timeout(settings, RECORD_TIMEOUT).as_millis();
    config.set("message.timeout.ms", timeout.to_string());
    Ok(config)
}

/// Appends records to a topic.
pub(super) struct Writer {
    producer: FutureProducer<Context>,
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
        let producer = FutureProducer::from_config_and_context(&config(settings)?, Context)
            .context("the Kafka client can't be created")?;
        Ok(Self { producer, topic: topic.to_owned(), waiting: VecDeque::new(), bytes: 0 })
    }

    /// Appends a record unchanged. Calls `arrived` for records that were acknowledged meanwhile.
    pub(super) async fn write(
        &mut self,
        record: SourceRecord,
        partition: i32,
        mut arrived: impl FnMut(Moved),
    ) -> anyhow::Result<()> {
        while self.waiting.len() >= WINDOW || self.bytes > WINDOW_BYTES {
            arrived(self.first().await?);
        }
        let copy = FutureRecord {
            topic: &self.topic,
            partition: Some(partition),
            payload: record.message.payload(),
            key: record.message.key(),
            timestamp: record.message.timestamp().to_millis(),
            headers: record.message.headers().cloned(),
        };
        let sent = self.producer.send_result(copy).map_err(|(error, _)| error);
        let delivery = sent.with_context(|| format!("a record can't be appended to {}", self.topic))?;
        self.bytes += record.bytes;
        self.waiting.push_back(Waiting {
            from: (record.partition, record.offset),
            bytes: record.bytes,
            delivery,
        });
        Ok(())
    }

    /// Waits for all records in flight.
    pub(super) async fn finish(&mut self, mut arrived: impl FnMut(Moved)) -> anyhow::Result<()> {
        while !self.waiting.is_empty() {
            arrived(self.first().await?);
        }
        Ok(())
    }

    async fn first(&mut self) -> anyhow::Result<Moved> {
        let Waiting { from, bytes, delivery } = self.waiting.pop_front().context("no record is in flight")?;
        self.bytes -= bytes;
        let delivered = delivery.await.context("the producer was dropped")?.map_err(|(error, _)| error);
        let at = delivered.with_context(|| format!("a record was not appended to {}", self.topic))?;
        Ok(Moved { from, to: (at.partition, at.offset) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_a_copy_times_out() {
        let timeout = |more: &[(&str, &str)]| {
            let vars = more.iter().chain(&[("KAFKA_BROKERS", "127.0.0.1:1")]);
            let vars = vars.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let config = config(&Settings::from_vars(vars, "127.0.0.1:0").unwrap()).unwrap();
            config.get("message.timeout.ms").map(str::to_owned)
        };
        assert_eq!(timeout(&[]).as_deref(), Some("60000"));
        assert_eq!(timeout(&[("ROLLCALL_KAFKA__MESSAGE_TIMEOUT_MS", "9000")]).as_deref(), Some("9000"));
    }
}
