//! A log as bytes: everything that Kafka keeps of each record. It can be written into other topics.

use crate::log::read_each;
use rdkafka::{
    ClientConfig, Message as _,
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};

/// The topics of a log.
const TOPICS: [&str; 2] = ["users.events", "users.credentials"];

/// A record as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRecord {
    /// The topic, without the deployment's prefix.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Kafka's timestamp, in milliseconds.
    pub time: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The headers, in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// The value.
    pub value: Option<Vec<u8>>,
}

impl RawRecord {
    /// A header, if it exists and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }

    /// The same with another value of an existing header.
    #[must_use]
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let changed = |(header, old): &(String, Option<Vec<u8>>)| {
            let new = if header == name { Some(value.as_bytes().to_vec()) } else { old.clone() };
            (header.clone(), new)
        };
        Self { headers: self.headers.iter().map(changed).collect(), ..self.clone() }
    }

    fn read(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            time: message.timestamp().to_millis().expect("Kafka stores a time"),
            key: message.key().map(<[u8]>::to_vec),
            headers: headers
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect(),
            value: message.payload().map(<[u8]>::to_vec),
        }
    }

    fn produced<'a>(&'a self, topic: &'a str) -> FutureRecord<'a, [u8], [u8]> {
        let headers = self.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: value.as_deref() })
        });
        let record = FutureRecord::to(topic).partition(self.partition).timestamp(self.time).headers(headers);
        FutureRecord { key: self.key.as_deref(), payload: self.value.as_deref(), ..record }
    }
}

/// All records of the two topics of the log with this prefix, in the order of topic, partition and
/// offset.
///
/// # Panics
/// They can't be read.
pub async fn read_raw(brokers: &str, prefix: &str) -> Vec<RawRecord> {
    let mut records = Vec::new();
    for topic in TOPICS {
        let read = read_each(brokers, &format!("{prefix}{topic}"), RawRecord::read).await;
        records.extend(read.into_iter().map(|record| RawRecord { topic: topic.to_owned(), ..record }));
    }
    records.sort_by(|a, b| (&a.topic, a.partition, a.offset).cmp(&(&b.topic, b.partition, b.offset)));
    records
}

/// Appends records to the empty topics with this prefix. Each gets its partition and its offset.
///
/// # Panics
/// The broker refuses a record, or the topics were not empty.
pub async fn append_raw(brokers: &str, prefix: &str, records: &[RawRecord]) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .create()
        .expect("a producer");
    let names: Vec<String> = records.iter().map(|record| format!("{prefix}{}", record.topic)).collect();
    // All are queued before the first is awaited, so that they form few batches.
    let queued = |(record, name): (&RawRecord, &String)| {
        producer.send_result(record.produced(name)).unwrap_or_else(|(error, _)| panic!("{name}: {error}"))
    };
    let sent: Vec<_> = records.iter().zip(&names).map(queued).collect();
    for (delivery, record) in sent.into_iter().zip(records) {
        let delivered = delivery.await.expect("the producer lives").expect("the record is appended");
        assert_eq!((delivered.partition, delivered.offset), (record.partition, record.offset), "{record:?}");
    }
}
