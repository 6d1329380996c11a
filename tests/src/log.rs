//! Reads the log as bytes, from the beginning to the end.

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
};
use std::{collections::HashSet, time::Duration};

/// The timeout for one request to the broker.
const STEP: Duration = Duration::from_secs(60);

/// A record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: String,
    /// Its headers, in their order.
    pub headers: Vec<(String, String)>,
    /// Its value.
    pub value: Vec<u8>,
}

impl Record {
    /// A header, if it exists.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// A header.
    ///
    /// # Panics
    /// It does not exist.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.find(name).unwrap_or_else(|| panic!("no {name}: {:?}", self.headers))
    }

    /// The value as JSON.
    ///
    /// # Panics
    /// It is no JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.value).expect("a value is JSON")
    }
}

/// All committed records of a topic, partition by partition.
///
/// # Panics
/// It can't be read to its end.
pub async fn read_topic(brokers: &str, topic: &str) -> Vec<Record> {
    let mut records = read_each(brokers, topic, record).await;
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

/// Reads a topic to its end, and keeps something of each committed record.
pub(crate) async fn read_each<T: Send + 'static>(
    brokers: &str,
    topic: &str,
    keep: fn(&BorrowedMessage<'_>) -> T,
) -> Vec<T> {
    let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
    tokio::task::spawn_blocking(move || read_to_end(&brokers, &topic, keep))
        .await
        .expect("the topic was read")
}

fn read_to_end<T>(brokers: &str, topic: &str, keep: fn(&BorrowedMessage<'_>) -> T) -> Vec<T> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "tests")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .expect("a consumer");
    let mut open = assign_all(&consumer, topic);
    let mut kept = Vec::new();
    while !open.is_empty() {
        match consumer.poll(STEP).expect("the broker answers") {
            Ok(message) => kept.push(keep(&message)),
            Err(KafkaError::PartitionEOF(partition)) => drop(open.remove(&partition)),
            Err(error) => panic!("{topic}: {error}"),
        }
    }
    kept
}

fn assign_all(consumer: &BaseConsumer, topic: &str) -> HashSet<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), STEP).expect("metadata");
    let ids: HashSet<i32> =
        metadata.topics()[0].partitions().iter().map(|partition| partition.id()).collect();
    assert!(!ids.is_empty(), "there is no topic {topic}");
    let mut list = TopicPartitionList::new();
    for id in &ids {
        list.add_partition_offset(topic, *id, Offset::Beginning).expect("a partition");
    }
    consumer.assign(&list).expect("the partitions are assigned");
    ids
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("keys and headers are UTF-8");
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: text(message.key().unwrap_or_default()),
        headers: headers
            .map(|header| (header.key.to_owned(), text(header.value.unwrap_or_default())))
            .collect(),
        value: message.payload().unwrap_or_default().to_vec(),
    }
}
