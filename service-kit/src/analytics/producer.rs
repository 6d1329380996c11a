//! From the queue to `users.analytics`, on a thread of its own.

use super::{draft::Draft, tally::Tally};
use crate::{
    kafka::{self, Contact},
    settings::Settings,
};
use events_schema::analytics::AnalyticEvent;
use rdkafka::{
    ClientConfig, ClientContext,
    config::FromClientConfigAndContext,
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
    types::RDKafkaErrorCode,
};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};
use tokio::sync::mpsc;

/// How many events are taken out of the queue at once.
const BATCH: usize = 256;

/// Events are many and small, and nobody waits for one: large batches, and patience with a broker that is away.
const DEFAULTS: [(&str, &str); 5] = [
    ("linger.ms", "5"),
    ("compression.type", "lz4"),
    ("message.timeout.ms", "30000"),
    ("queue.buffering.max.messages", "32768"),
    ("queue.buffering.max.kbytes", "32768"),
];

type EventProducer = ThreadedProducer<Ends>;

/// The client's settings; the operator's own keys win.
pub(super) fn config(settings: &Settings) -> anyhow::Result<ClientConfig> {
    let mut config = kafka::producer_config(settings)?;
    for (key, value) in DEFAULTS.into_iter().filter(|(key, _)| !settings.kafka.contains_key(*key)) {
        config.set(key, value);
    }
    Ok(config)
}

/// Starts the thread; it ends when every sender of the queue is gone.
pub(super) fn start(
    config: ClientConfig,
    topic: String,
    queue: mpsc::Receiver<Draft>,
    tally: Arc<Tally>,
) -> anyhow::Result<()> {
    let (made, room) = sync_channel(1);
    let ends = Ends { tally, room: made, contact: Arc::default() };
    let producer = EventProducer::from_config_and_context(&config, ends.clone())?;
    let feed = Feed { config, topic, ends, room, producer };
    thread::Builder::new().name("analytics".to_owned()).spawn(move || feed.run(queue))?;
    Ok(())
}

/// What happens at an event's end, in the log or not.
#[derive(Clone)]
struct Ends {
    tally: Arc<Tally>,
    /// Told whenever the client has got rid of an event.
    room: SyncSender<()>,
    contact: Arc<Contact>,
}

impl ClientContext for Ends {}

impl ProducerContext for Ends {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.contact.seen(result.is_ok());
        match result {
            Ok(_) => self.tally.sent(),
            Err(_) => self.tally.dropped("the log did not take them"),
        }
        // Full: it has been told already.
        let _ = self.room.try_send(());
    }
}

struct Feed {
    config: ClientConfig,
    topic: String,
    ends: Ends,
    room: Receiver<()>,
    producer: EventProducer,
}

impl Feed {
    fn run(mut self, mut queue: mpsc::Receiver<Draft>) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
            for draft in batch.drain(..) {
                self.send(&draft.into());
            }
        }
    }

    /// Hands one event to the client. A full client makes this thread wait, so that the queue before it fills and drops.
    fn send(&mut self, event: &AnalyticEvent) {
        let (value, headers) = (event.value(), headers(event));
        if self.ends.contact.is_lost() {
            tracing::warn!("no event got to the log for long: the analytics producer is made anew");
            self.replace();
        }
        loop {
            let record =
                BaseRecord::to(&self.topic).key(&event.request_id).payload(&value).headers(headers.clone());
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => self.wait_for_room(),
                Err((error, _)) => {
                    self.ends.tally.dropped("the client refused them");
                    return self.replace_if_dead(&error);
                }
            }
        }
    }

    /// Waits until an event has left the client; one always does, if only by its timeout.
    fn wait_for_room(&self) {
        let _ = self.room.recv_timeout(Duration::from_secs(1));
    }

    /// After a fatal error a client takes nothing any more; a new one does.
    fn replace_if_dead(&mut self, error: &KafkaError) {
        if self.producer.client().fatal_error().is_none() {
            return;
        }
        tracing::warn!(%error, "the analytics producer failed for good and is made anew");
        self.replace();
    }

    fn replace(&mut self) {
        if let Ok(producer) = EventProducer::from_config_and_context(&self.config, self.ends.clone()) {
            self.producer = producer;
        }
    }
}

fn headers(event: &AnalyticEvent) -> OwnedHeaders {
    let headers = event.headers();
    let owned = OwnedHeaders::new_with_capacity(headers.len());
    headers.iter().fold(owned, |owned, (key, value)| owned.insert(Header { key, value: Some(value) }))
}
