//! From the queue to `users.analytics`, on a thread of its own.
//!
//! What was handed to the client goes on until the log has it, however long the log is away; meanwhile the queue fills up, and drops. When a
//! client has to be replaced, the new one gets what the old one never sent. What the old one may have written is given up and counted as lost:
//! one event less does less harm than one event twice.

use super::{draft::Draft, ends::Ends, stuck::Stuck, tally::Tally};
use crate::{kafka, settings::Settings};
use events_schema::analytics::AnalyticEvent;
use rdkafka::{
    ClientConfig,
    config::FromClientConfigAndContext,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{Header, Message as _, OwnedHeaders, OwnedMessage},
    producer::{BaseProducer, BaseRecord, Producer as _, ThreadedProducer},
};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// How many events are taken out of the queue at once.
const BATCH: usize = 256;
/// For a broker to answer a question.
const ANSWER: Duration = Duration::from_secs(2);
/// For a retired client to report on what it had.
const REPORTS: Duration = Duration::from_secs(5);

/// Events are many and small, and nobody waits for one: large batches.
const DEFAULTS: [(&str, &str); 4] = [
    ("linger.ms", "5"),
    ("compression.type", "lz4"),
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
    let ends = Ends::new(tally, made);
    let producer = EventProducer::from_config_and_context(&config, ends.clone())?;
    let feed = Feed { config, topic, ends, room, producer, stuck: Stuck::default(), sent: 0 };
    thread::Builder::new().name("analytics".to_owned()).spawn(move || feed.run(queue))?;
    Ok(())
}

struct Feed {
    config: ClientConfig,
    topic: String,
    ends: Ends,
    room: Receiver<()>,
    producer: EventProducer,
    stuck: Stuck,
    /// How many events were handed over by now.
    sent: usize,
}

impl Feed {
    fn run(mut self, mut queue: mpsc::Receiver<Draft>) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
            self.look_after_client();
            for draft in batch.drain(..) {
                self.send(&draft.into());
            }
        }
    }

    /// Hands one event to the client. A full client makes this thread wait, so that the queue before it fills and drops.
    fn send(&mut self, event: &AnalyticEvent) {
        let (value, headers) = (event.value(), headers(event));
        self.sent += 1;
        loop {
            let record = BaseRecord::with_opaque_to(&self.topic, self.sent)
                .key(&event.request_id)
                .payload(&value)
                .headers(headers.clone());
            match self.producer.send(record) {
                Ok(()) => return,
                // There is room some day, or a new client.
                Err((KafkaError::MessageProduction(Code::QueueFull | Code::Fatal), _)) => {
                    self.wait_for_room();
                    self.look_after_client();
                }
                Err(_) => return self.ends.dropped("the client refused them"),
            }
        }
    }

    /// Waits until an event has left the client, for a second at most.
    fn wait_for_room(&self) {
        let _ = self.room.recv_timeout(Duration::from_secs(1));
    }

    /// Replaces a client that is of no use any more.
    fn look_after_client(&mut self) {
        if let Some((_, reason)) = self.producer.client().fatal_error() {
            tracing::warn!(reason, "the analytics producer failed for good and is made anew");
            return self.replace();
        }
        if self.producer.in_flight_count() == 0 {
            return self.ends.moved();
        }
        let (now, still_since) = (Instant::now(), self.ends.still_since());
        if self.stuck.is(now, still_since, || answers(&self.config)) {
            tracing::warn!(
                "no event got to the log for long, though it answers: the analytics producer is made anew"
            );
            self.replace();
        }
    }

    fn replace(&mut self) {
        let Ok(producer) = EventProducer::from_config_and_context(&self.config, self.ends.clone()) else {
            return;
        };
        let old = std::mem::replace(&mut self.producer, producer);
        kafka::retire(&old);
        if old.flush(REPORTS).is_err() {
            tracing::warn!("the analytics producer did not say what became of all its events");
        }
        drop(old);
        self.ends.moved();
        for (number, event) in self.ends.take_unsent() {
            self.send_again(number, &event);
        }
    }

    /// The new client has the same room as the old one had.
    fn send_again(&self, number: usize, event: &OwnedMessage) {
        let record = BaseRecord::with_opaque_to(&self.topic, number)
            .key(event.key().unwrap_or_default())
            .payload(event.payload().unwrap_or_default())
            .headers(event.headers().cloned().unwrap_or_default());
        if self.producer.send(record).is_err() {
            self.ends.dropped("the client refused them");
        }
    }
}

/// Whether a broker answers a client that was just made.
fn answers(config: &ClientConfig) -> bool {
    let mut config = config.clone();
    // It writes nothing, and this would be warned of.
    config.remove("enable.gapless.guarantee");
    let asked = config.create().and_then(|client: BaseProducer| client.client().fetch_metadata(None, ANSWER));
    asked.is_ok()
}

fn headers(event: &AnalyticEvent) -> OwnedHeaders {
    let headers = event.headers();
    let owned = OwnedHeaders::new_with_capacity(headers.len());
    headers.iter().fold(owned, |owned, (key, value)| owned.insert(Header { key, value: Some(value) }))
}

#[cfg(test)]
mod tests;
