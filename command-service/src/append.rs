//! The end of the log: one record appended, and where it went.

use crate::{
    delivery::{Client, Delivery, Failed, Place, Reports},
    metrics,
};
use events_schema::{Headers, UserKey};
use rdkafka::{
    ClientConfig,
    config::FromClientConfigAndContext as _,
    error::RDKafkaErrorCode as Code,
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, Producer as _},
};
use service_kit::{
    fault,
    kafka::{Contact, Topics, delivery_timeout, producer_config, retire},
    position::Position,
    settings::Settings,
};
use std::{
    sync::{Arc, PoisonError, RwLock, Weak},
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::timeout};

/// For the broker to say that it is there.
const CHECK: Duration = Duration::from_millis(900);
/// Between two such questions while it is away.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// For a client that was retired to report on what it had.
const REPORT: Duration = Duration::from_secs(5);

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
    /// The log is known to be away. Nothing was sent.
    Away,
    /// Nothing is in the log, and nothing will be.
    Refused,
    /// It may be in the log, or still get there.
    Unknown,
}

/// A topic, to append to.
pub(crate) struct Log {
    config: ClientConfig,
    topic: String,
    /// How long a record may be on its way.
    patience: Duration,
    producer: RwLock<Arc<Client>>,
    is_away: watch::Sender<bool>,
}

impl Log {
    /// The log of user facts, for writes that somebody waits for.
    pub(crate) fn users(settings: &Settings) -> anyhow::Result<Self> {
        let topic = Topics::new(&settings.topic_prefix).users;
        Self::new(producer_config(settings)?, topic, delivery_timeout(settings))
    }

    /// A topic, with a client of that configuration. A record that is on its way for longer than `patience` is given up.
    pub(crate) fn new(config: ClientConfig, topic: String, patience: Duration) -> anyhow::Result<Self> {
        let producer = RwLock::new(Arc::new(Client::from_config_and_context(&config, Reports)?));
        Ok(Self { config, topic, patience, producer, is_away: watch::Sender::new(false) })
    }

    /// Appends a record to its key's partition of `partitions`; resolves once the log has it for good. Bounded; at once while the log is away.
    pub(crate) async fn append(
        self: &Arc<Self>,
        record: &Record,
        partitions: u32,
    ) -> Result<Position, AppendError> {
        if *self.is_away.borrow() {
            metrics::refused_while_away();
            return Err(AppendError::Away);
        }
        let began = Instant::now();
        fault::point("append.before");
        let delivery = self.send(record, partitions)?;
        // A task of its own, so that an overdue record is given up though nobody waits for it any more.
        let delivered = tokio::spawn(self.clone().delivered_or_away(delivery)).await;
        let delivered = delivered.unwrap_or_else(|_| Err(Failed::unknown()));
        let position = delivered.map_err(|failed| self.failure(&failed))?;
        fault::point("append.after");
        metrics::appended(began.elapsed());
        Ok(position)
    }

    /// Hands a record to the client. The partition is named, so that it is the key's own whatever a client makes of keys.
    pub(crate) fn send(&self, record: &Record, partitions: u32) -> Result<Delivery, AppendError> {
        let key = record.key.to_string();
        let partition = i32::try_from(record.key.partition(partitions)).map_err(|_| AppendError::Refused)?;
        let (sender, end) = tokio::sync::oneshot::channel();
        let message = BaseRecord::with_opaque_to(&self.topic, Box::new(sender))
            .partition(partition)
            .key(&key)
            .payload(&record.value)
            .headers(owned(&record.headers));
        let refused = |error| self.failure(&Failed { error, is_uncertain: false });
        let client = self.producer();
        client.send(message).map_err(|(error, _)| refused(error))?;
        Ok(Delivery { end, client: Arc::downgrade(&client) })
    }

    /// Where a record that was handed over went.
    pub(crate) async fn settle(&self, delivery: Delivery) -> Result<Position, AppendError> {
        self.delivered(delivery).await.map_err(|failed| self.failure(&failed))
    }

    async fn delivered_or_away(self: Arc<Self>, delivery: Delivery) -> Result<Position, Failed> {
        let delivered = self.delivered(delivery).await;
        if delivered.as_ref().is_err_and(Failed::is_late) {
            self.watch_for_return();
        }
        delivered
    }

    /// Waits for a record's end. One that is overdue takes its whole client along, and what else that has: the client might send it again
    /// otherwise, when nobody waits for it any more.
    async fn delivered(&self, Delivery { mut end, client }: Delivery) -> Result<Position, Failed> {
        let place = match timeout(self.patience, &mut end).await {
            Ok(end) => end.unwrap_or_else(|_| Err(Failed::unknown())),
            Err(_) => {
                self.give_up(&client);
                let end = timeout(REPORT, end).await.ok().and_then(Result::ok);
                end.unwrap_or_else(|| Err(Failed::unknown())).map_err(Failed::late)
            }
        };
        let Place { partition, offset } = place?;
        let partition = u32::try_from(partition).map_err(|_| Failed::unknown())?;
        Ok(Position { partition, offset })
    }

    fn failure(&self, failed: &Failed) -> AppendError {
        let Failed { error, is_uncertain } = failed;
        tracing::warn!(%error, is_uncertain, "an event could not be appended");
        self.replace_if_dead();
        match error.rdkafka_error_code() {
            _ if *is_uncertain => AppendError::Unknown,
            Some(Code::QueueFull) => AppendError::Full,
            _ => AppendError::Refused,
        }
    }

    /// After a fatal error a client takes nothing any more; a new one does.
    fn replace_if_dead(&self) {
        self.replace_if(|producer| producer.client().fatal_error().is_some());
    }

    /// Replaces that client, unless somebody else has.
    fn give_up(&self, client: &Weak<Client>) {
        self.replace_if(|current| std::ptr::eq(current, client.as_ptr()));
    }

    fn replace_if(&self, is_useless: impl FnOnce(&Client) -> bool) {
        let mut producer = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if !is_useless(&producer) {
            return;
        }
        let old = producer.clone();
        match Client::from_config_and_context(&self.config, Reports) {
            Ok(new) => *producer = Arc::new(new),
            Err(error) => tracing::error!(%error, "the log's client can't be made anew"),
        }
        // It takes a moment to go, in which it reports what it still has.
        std::thread::spawn(move || retire(&*old));
    }

    fn producer(&self) -> Arc<Client> {
        self.producer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Refuses writes from now on, until a broker answers.
    fn watch_for_return(self: &Arc<Self>) {
        if self.is_away.send_replace(true) {
            return;
        }
        tracing::warn!("the log is away: writes are refused until it answers");
        let log = self.clone();
        tokio::spawn(async move {
            let contact = Contact::default();
            while log.clone().check().await.is_err() {
                contact.seen(false);
                if contact.is_lost() {
                    log.replace_if(|_| true);
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
            log.is_away.send_replace(false);
            tracing::info!("the log answers again");
        });
    }

    /// Resolves once the log is not known to be away.
    pub(crate) async fn is_back(&self) {
        let _ = self.is_away.subscribe().wait_for(|is_away| !is_away).await;
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
        // Of this topic alone: a cluster may have thousands. Our clients never have one made by asking for it.
        let asked = self.producer().client().fetch_metadata(Some(&self.topic), CHECK);
        let metadata = asked.map_err(|_| "no broker answers")?;
        let is_there = metadata.topics().iter().any(|topic| topic.error().is_none());
        if is_there { Ok(()) } else { Err(format!("topic {} is missing", self.topic)) }
    }
}

fn owned(headers: &Headers) -> OwnedHeaders {
    let owned = OwnedHeaders::new_with_capacity(headers.len());
    headers.iter().fold(owned, |owned, (key, value)| owned.insert(Header { key, value: Some(value) }))
}
