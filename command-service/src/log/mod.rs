//! Appends records to the log.

mod delivery;

pub(crate) use delivery::Delivery;

use crate::metrics;
use delivery::{Client, DeliveryError, Placed, Reports};
use events_schema::{Headers, UserKey};
use rdkafka::{
    ClientConfig,
    config::FromClientConfigAndContext as _,
    error::RDKafkaErrorCode as Code,
    producer::{BaseRecord, Producer as _},
};
use service_kit::{
    failpoint,
    kafka::{Contact, Topics, delivery_timeout, owned_headers, producer_config, retire},
    position::Position,
    settings::Settings,
};
use std::{
    sync::{Arc, PoisonError, RwLock, Weak},
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::timeout};

/// How long the broker may take to answer a check.
const CHECK_TIMEOUT: Duration = Duration::from_millis(900);
/// The pause between two checks while the log is unavailable.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// How long a retired client may take to report on its records.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// A record to append.
pub(crate) struct Record {
    pub(crate) key: UserKey,
    pub(crate) headers: Headers,
    pub(crate) value: Vec<u8>,
}

/// Why an append failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AppendError {
    /// The client's queue is full. The record was not sent.
    Full,
    /// The log is known to be unavailable. The record was not sent.
    Unavailable,
    /// The record is not in the log and never will be.
    Refused,
    /// The record may be in the log, or may still arrive there.
    Unknown,
}

/// A topic to append to.
pub(crate) struct Log {
    config: ClientConfig,
    topic: String,
    /// How long a record may be in flight.
    delivery_timeout: Duration,
    client: RwLock<Arc<Client>>,
    is_unavailable: watch::Sender<bool>,
}

impl Log {
    /// The topic of user events, for writes with a waiting client.
    pub(crate) fn users(settings: &Settings) -> anyhow::Result<Self> {
        let topic = Topics::new(&settings.topic_prefix).users;
        Self::new(producer_config(settings)?, topic, delivery_timeout(settings))
    }

    /// A topic, with a client of that configuration. A record is given up after `delivery_timeout`.
    pub(crate) fn new(
        config: ClientConfig,
        topic: String,
        delivery_timeout: Duration,
    ) -> anyhow::Result<Self> {
        let client = RwLock::new(Arc::new(Client::from_config_and_context(&config, Reports)?));
        Ok(Self { config, topic, delivery_timeout, client, is_unavailable: watch::Sender::new(false) })
    }

    /// Appends a record to its key's partition, out of `partitions`. Resolves once the log has
    /// stored it durably. Fails at once while the log is unavailable.
    pub(crate) async fn append(
        self: &Arc<Self>,
        record: &Record,
        partitions: u32,
    ) -> Result<Position, AppendError> {
        if *self.is_unavailable.borrow() {
            metrics::refused_while_unavailable();
            return Err(AppendError::Unavailable);
        }
        let began = Instant::now();
        failpoint::hit("append.before");
        let delivery = self.send(record, partitions)?;
        // A separate task, so that an overdue record is given up even if the caller stops waiting.
        let delivered = tokio::spawn(self.clone().delivered_or_unavailable(delivery)).await;
        let delivered = delivered.unwrap_or_else(|_| Err(DeliveryError::unknown()));
        let position = delivered.map_err(|failed| self.failure(&failed))?;
        failpoint::hit("append.after");
        metrics::appended(began.elapsed());
        Ok(position)
    }

    /// Hands a record to the client. The partition is set explicitly, so it does not depend on the
    /// client's partitioner.
    pub(crate) fn send(&self, record: &Record, partitions: u32) -> Result<Delivery, AppendError> {
        let key = record.key.to_string();
        let partition = i32::try_from(record.key.partition(partitions)).map_err(|_| AppendError::Refused)?;
        let (sender, report) = tokio::sync::oneshot::channel();
        let message = BaseRecord::with_opaque_to(&self.topic, Box::new(sender))
            .partition(partition)
            .key(&key)
            .payload(&record.value)
            .headers(owned_headers(&record.headers));
        let refused = |error| self.failure(&DeliveryError { error, is_uncertain: false });
        let client = self.client();
        client.send(message).map_err(|(error, _)| refused(error))?;
        Ok(Delivery { report, client: Arc::downgrade(&client) })
    }

    /// Waits for the delivery of a record.
    pub(crate) async fn await_delivery(&self, delivery: Delivery) -> Result<Position, AppendError> {
        self.delivered(delivery).await.map_err(|failed| self.failure(&failed))
    }

    async fn delivered_or_unavailable(
        self: Arc<Self>,
        delivery: Delivery,
    ) -> Result<Position, DeliveryError> {
        let delivered = self.delivered(delivery).await;
        if delivered.as_ref().is_err_and(DeliveryError::is_late) {
            self.watch_for_return();
        }
        delivered
    }

    /// Waits for a delivery report. If a record is overdue, its client is replaced together with
    /// all its records. Otherwise the client might send the record later, when nobody waits for it.
    async fn delivered(&self, Delivery { mut report, client }: Delivery) -> Result<Position, DeliveryError> {
        let place = match timeout(self.delivery_timeout, &mut report).await {
            Ok(report) => report.unwrap_or_else(|_| Err(DeliveryError::unknown())),
            Err(_) => {
                self.give_up(&client);
                let report = timeout(REPORT_TIMEOUT, report).await.ok().and_then(Result::ok);
                report.unwrap_or_else(|| Err(DeliveryError::unknown())).map_err(DeliveryError::late)
            }
        };
        let Placed { partition, offset } = place?;
        let partition = u32::try_from(partition).map_err(|_| DeliveryError::unknown())?;
        Ok(Position { partition, offset })
    }

    fn failure(&self, failed: &DeliveryError) -> AppendError {
        let DeliveryError { error, is_uncertain } = failed;
        if *is_uncertain {
            tracing::warn!(%error, "an event may not have been appended");
        } else {
            tracing::warn!(%error, "an event was not appended");
        }
        self.replace_if_dead();
        match error.rdkafka_error_code() {
            _ if *is_uncertain => AppendError::Unknown,
            Some(Code::QueueFull) => AppendError::Full,
            _ => AppendError::Refused,
        }
    }

    /// After a fatal error a client accepts no more records, so it is replaced.
    fn replace_if_dead(&self) {
        self.replace_if(|current| current.client().fatal_error().is_some());
    }

    /// Replaces a client, unless that has happened already.
    fn give_up(&self, client: &Weak<Client>) {
        self.replace_if(|current| std::ptr::eq(current, client.as_ptr()));
    }

    fn replace_if(&self, is_useless: impl FnOnce(&Client) -> bool) {
        let mut client = self.client.write().unwrap_or_else(PoisonError::into_inner);
        if !is_useless(&client) {
            return;
        }
        let old = client.clone();
        match Client::from_config_and_context(&self.config, Reports) {
            Ok(new) => *client = Arc::new(new),
            Err(error) => tracing::error!(%error, "the log's client can't be replaced"),
        }
        // Its shutdown takes a moment, in which it reports on its remaining records.
        std::thread::spawn(move || retire(&*old));
    }

    fn client(&self) -> Arc<Client> {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn brokers(&self) -> &str {
        self.config.get("bootstrap.servers").unwrap_or_default()
    }

    /// Refuses writes until a broker answers.
    fn watch_for_return(self: &Arc<Self>) {
        if self.is_unavailable.send_replace(true) {
            return;
        }
        tracing::warn!("the log is unavailable: writes are refused until it answers");
        let log = self.clone();
        tokio::spawn(async move {
            let contact = Arc::new(Contact::default());
            while log.clone().check().await.is_err() {
                contact.seen(false);
                let (contact, brokers) = (contact.clone(), log.brokers().to_owned());
                let is_lost = tokio::task::spawn_blocking(move || contact.is_lost(&brokers));
                if is_lost.await.unwrap_or_default() {
                    log.replace_if(|_| true);
                }
                tokio::time::sleep(CHECK_INTERVAL).await;
            }
            log.is_unavailable.send_replace(false);
            tracing::info!("the log answers again");
        });
    }

    /// Waits until the log is not known to be unavailable.
    pub(crate) async fn until_available(&self) {
        let _ = self.is_unavailable.subscribe().wait_for(|is_unavailable| !is_unavailable).await;
    }

    /// Waits until no record is in flight, at most for `within`.
    pub(crate) async fn flush(self: Arc<Self>, within: Duration) {
        let flushed = tokio::task::spawn_blocking(move || self.client().flush(within)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("some events were not appended before the shutdown");
        }
    }

    /// Checks that a broker answers and has the topic.
    pub(crate) async fn check(self: Arc<Self>) -> Result<(), String> {
        let asked = tokio::task::spawn_blocking(move || self.check_blocking()).await;
        asked.unwrap_or_else(|_| Err("the check failed".to_owned()))
    }

    fn check_blocking(&self) -> Result<(), String> {
        // Only for this topic, because a cluster may have thousands. Our clients never create
        // topics.
        let asked = self.client().client().fetch_metadata(Some(&self.topic), CHECK_TIMEOUT);
        let metadata = asked.map_err(|_| "no broker answers")?;
        let is_there = metadata.topics().iter().any(|topic| topic.error().is_none());
        if is_there { Ok(()) } else { Err(format!("topic {} is missing", self.topic)) }
    }
}
