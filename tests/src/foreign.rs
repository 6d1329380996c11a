//! Records of other writers, valid or not.

use crate::Deployment;
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    types::RDKafkaErrorCode,
};
use std::collections::BTreeMap;

/// A record of another writer.
#[derive(Debug, Clone, Default)]
pub struct Foreign {
    key: Option<String>,
    headers: BTreeMap<String, String>,
    /// More headers, with any names.
    more: Vec<(String, String)>,
    value: Option<Vec<u8>>,
    partition: Option<i32>,
}

impl Foreign {
    /// A valid event about the user `key` (`<tenant>/<id>`), except for its data.
    pub fn event(key: &str, ce_type: &str, value: impl Into<Vec<u8>>) -> Self {
        let (tenant, user) = key.split_once('/').expect("a key is <tenant>/<id>");
        let event = Self { key: Some(key.to_owned()), value: Some(value.into()), ..Self::default() };
        let id = uuid::Uuid::new_v4().to_string();
        [
            ("ce_specversion", "1.0"),
            ("ce_id", &id),
            ("ce_source", "/elsewhere"),
            ("ce_type", ce_type),
            ("ce_time", "2024-01-01T00:00:00.000Z"),
            ("ce_subject", user),
            ("ce_tenantid", tenant),
            ("content-type", "application/json"),
        ]
        .into_iter()
        .fold(event, |event, (name, value)| event.header(name, value))
    }

    /// A deletion with the version `sequence`. It has no personal data, so any writer can make a
    /// valid one.
    pub fn deletion(key: &str, sequence: u64) -> Self {
        Self::event(key, "user.deleted.v1", "{}").header("ce_sequence", &sequence.to_string())
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Removes a header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Adds a header, even if one with that name exists.
    #[must_use]
    pub fn one_more(mut self, name: &str, value: &str) -> Self {
        self.more.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a header whose name is not UTF-8, as clients in other languages may do.
    #[must_use]
    #[allow(unsafe_code, reason = "rdkafka's own headers have texts for names")]
    pub fn with_unreadable_name(self) -> Self {
        // SAFETY: the text is only read as bytes, to make a C string of it.
        let name = unsafe { String::from_utf8_unchecked(b"x-\xff\xfe".to_vec()) };
        Self { more: vec![(name, "v".to_owned())], ..self }
    }

    /// Removes the value.
    #[must_use]
    pub fn without_value(self) -> Self {
        Self { value: None, ..self }
    }

    /// Sets or removes the key, whatever the headers say.
    #[must_use]
    pub fn keyed(self, key: Option<&str>) -> Self {
        Self { key: key.map(str::to_owned), ..self }
    }

    /// Sets the partition.
    #[must_use]
    pub fn into_partition(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }

    /// Its key, if it has one.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Its headers.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let more = self.more.iter().map(|(name, value)| (name, value));
        self.headers.iter().chain(more).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Its value.
    pub fn value(&self) -> &[u8] {
        self.value.as_deref().unwrap_or_default()
    }

    fn record<'a>(&'a self, topic: &'a str) -> FutureRecord<'a, str, [u8]> {
        let headers = self.headers().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        let record = FutureRecord::to(topic).headers(headers);
        FutureRecord { key: self.key(), partition: self.partition, payload: self.value.as_deref(), ..record }
    }
}

impl Deployment {
    /// Appends records in their order to a topic of the deployment. Returns the partition and
    /// offset of each.
    ///
    /// # Panics
    /// The broker refuses a record.
    pub async fn append(&self, topic: &str, records: &[Foreign]) -> Vec<(i32, i64)> {
        self.append_with(&self.producer(&[]), topic, records).await
    }

    /// The same with another producer.
    pub(crate) async fn append_with(
        &self,
        producer: &FutureProducer,
        topic: &str,
        records: &[Foreign],
    ) -> Vec<(i32, i64)> {
        let topic = format!("{}{topic}", self.prefix);
        // All are queued before the first is awaited, so that they form few batches.
        let sent: Vec<_> = records
            .iter()
            .map(|record| {
                producer
                    .send_result(record.record(&topic))
                    .unwrap_or_else(|(error, _)| panic!("{topic}: {error}"))
            })
            .collect();
        let mut places = Vec::new();
        for delivery in sent {
            let delivery = delivery.await.expect("the producer lives");
            let delivery = delivery.unwrap_or_else(|(error, _)| panic!("{topic}: {error}"));
            places.push((delivery.partition, delivery.offset));
        }
        places
    }

    /// Tries to append a record that is only small enough when compressed. Returns the broker's
    /// answer.
    ///
    /// # Panics
    /// The client refuses it.
    pub async fn append_packed(&self, topic: &str, record: &Foreign) -> Result<(), RDKafkaErrorCode> {
        let topic = format!("{}{topic}", self.prefix);
        let producer = self.producer(&[("compression.type", "zstd"), ("message.max.bytes", "200000000")]);
        let sent = producer.send_result(record.record(&topic)).expect("the client takes it");
        let delivered = sent.await.expect("the producer lives");
        delivered.map(drop).map_err(|(error, _)| error.rdkafka_error_code().expect("Kafka's own error"))
    }

    pub(crate) fn producer(&self, settings: &[(&str, &str)]) -> FutureProducer {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.brokers())
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        config.create().expect("a producer")
    }
}
