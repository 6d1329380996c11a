//! The end of the log: one record appended, and where it went.

use crate::metrics;
use events_schema::{Headers, UserKey};
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{Header, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
};
use service_kit::{
    fault,
    kafka::{Topics, producer_config},
    position::Position,
    settings::Settings,
};
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// For the broker to say that it is there.
const CHECK: Duration = Duration::from_millis(900);

/// A record to append.
pub(crate) struct Record {
    pub(crate) key: UserKey,
    pub(crate) headers: Headers,
    pub(crate) value: Vec<u8>,
}

/// Why a record has no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AppendError {
    /// The client's queue is full. Nothing was sent.
    Full,
    /// Nothing is in the log.
    Refused,
    /// It may be in the log, or still get there.
    Unknown,
}

/// A topic, to append to.
pub(crate) struct Log {
    config: ClientConfig,
    topic: String,
    producer: RwLock<FutureProducer>,
}

impl Log {
    /// The log of user facts, for writes that somebody waits for.
    pub(crate) fn users(settings: &Settings) -> anyhow::Result<Self> {
        Self::new(producer_config(settings)?, Topics::new(&settings.topic_prefix).users)
    }

    /// A topic, with a client of that configuration.
    pub(crate) fn new(config: ClientConfig, topic: String) -> anyhow::Result<Self> {
        let producer = RwLock::new(config.create()?);
        Ok(Self { config, topic, producer })
    }

    /// Appends a record to its key's partition of `partitions`; resolves once the log has it for good. Bounded by the client's own
    /// `message.timeout.ms`.
    pub(crate) async fn append(&self, record: &Record, partitions: u32) -> Result<Position, AppendError> {
        let began = Instant::now();
        fault::point("append.before");
        let position = self.settle(self.send(record, partitions)?).await?;
        fault::point("append.after");
        metrics::appended(began.elapsed());
        Ok(position)
    }

    /// Hands a record to the client. The partition is named, so that it is the key's own whatever a client makes of keys.
    pub(crate) fn send(&self, record: &Record, partitions: u32) -> Result<DeliveryFuture, AppendError> {
        let key = record.key.to_string();
        let partition = i32::try_from(record.key.partition(partitions)).map_err(|_| AppendError::Refused)?;
        let headers = owned(&record.headers);
        let message = FutureRecord::to(&self.topic)
            .partition(partition)
            .key(&key)
            .payload(&record.value)
            .headers(headers);
        self.producer().send_result(message).map_err(|(error, _)| self.failure(&error, AppendError::Refused))
    }

    /// Where a record that was handed over went.
    pub(crate) async fn settle(&self, delivery: DeliveryFuture) -> Result<Position, AppendError> {
        match delivery.await {
            Ok(Ok(delivery)) => {
                let partition = u32::try_from(delivery.partition).map_err(|_| AppendError::Unknown)?;
                Ok(Position { partition, offset: delivery.offset })
            }
            Ok(Err((error, _))) => Err(self.failure(&error, AppendError::Unknown)),
            Err(_) => Err(AppendError::Unknown),
        }
    }

    /// `otherwise`: what an error means that says nothing by itself.
    fn failure(&self, error: &KafkaError, otherwise: AppendError) -> AppendError {
        tracing::warn!(%error, "an event could not be appended");
        self.replace_if_dead();
        match error.rdkafka_error_code() {
            Some(Code::QueueFull) => AppendError::Full,
            Some(code) if NEVER_TAKEN.contains(&code) => AppendError::Refused,
            _ => otherwise,
        }
    }

    /// After a fatal error a client takes nothing any more; a new one does.
    fn replace_if_dead(&self) {
        let mut producer = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if producer.client().fatal_error().is_none() {
            return;
        }
        match self.config.create() {
            Ok(new) => *producer = new,
            Err(error) => tracing::error!(%error, "the log's client failed for good and can't be made anew"),
        }
    }

    fn producer(&self) -> FutureProducer {
        self.producer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits (bounded) until nothing is on its way any more.
    pub(crate) async fn flush(self: Arc<Self>, within: Duration) {
        let flushed = tokio::task::spawn_blocking(move || self.producer().flush(within)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("some events were not appended before the end");
        }
    }

    /// Whether a broker answers and has the topic; else why not.
    pub(crate) async fn check(self: Arc<Self>) -> Result<(), String> {
        let asked = tokio::task::spawn_blocking(move || self.check_blocking()).await;
        asked.unwrap_or_else(|_| Err("the check failed".to_owned()))
    }

    fn check_blocking(&self) -> Result<(), String> {
        // Of all topics: asking for one by name could make a broker create it.
        let metadata =
            self.producer().client().fetch_metadata(None, CHECK).map_err(|_| "no broker answers")?;
        let is_there = metadata.topics().iter().any(|topic| topic.name() == self.topic);
        if is_there { Ok(()) } else { Err(format!("topic {} is missing", self.topic)) }
    }
}

/// With these the broker, or the client before it, says that it did not take the record.
const NEVER_TAKEN: &[Code] = &[
    Code::MessageSizeTooLarge,
    Code::InvalidMessage,
    Code::InvalidMessageSize,
    Code::InvalidRecord,
    Code::TopicAuthorizationFailed,
    Code::ClusterAuthorizationFailed,
    Code::UnknownTopic,
    Code::UnknownPartition,
    Code::UnknownTopicOrPartition,
    Code::NotEnoughReplicas,
    Code::PolicyViolation,
];

fn owned(headers: &Headers) -> OwnedHeaders {
    let owned = OwnedHeaders::new_with_capacity(headers.len());
    headers.iter().fold(owned, |owned, (key, value)| owned.insert(Header { key, value: Some(value) }))
}
