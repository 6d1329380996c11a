//! Moves events from the queue to `users.analytics`, on a dedicated thread.
//!
//! The client keeps trying to deliver what it was given, however long the log is away. Meanwhile
//! the queue fills up and drops new events. When a client has to be replaced, its successor gets
//! the events that the old one never sent. Events that the old one may have written are counted as
//! lost: a missing event does less harm than a duplicate.

use super::{delivery_reports::DeliveryReports, draft::Draft, stall_detector::StallDetector, tally::Tally};
use crate::{
    kafka::{self, OwnSettings},
    settings::Settings,
};
use events_schema::analytics::AnalyticEvent;
use rdkafka::{
    ClientConfig,
    config::FromClientConfigAndContext,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{Message as _, OwnedMessage},
    producer::{BaseProducer, BaseRecord, Producer as _, ThreadedProducer},
};
use std::{
    iter,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// How many events are taken from the queue at once.
const BATCH: usize = 256;
/// How long events gather in the queue. Otherwise each one wakes the thread, which costs its request
/// more than the event itself.
const GATHER_TIME: Duration = Duration::from_millis(20);
/// How long a broker may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a retired client may take to report on its events.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Large batches: events are many and small, and nobody waits for one. But a START must be in the
/// topic before the SUCCESS that the projector derives 300 ms after it has read the change.
const OWN_SETTINGS: OwnSettings<'_> = OwnSettings {
    defaults: &[
        ("linger.ms", "150"),
        ("compression.codec", "lz4"),
        ("queue.buffering.max.messages", "32768"),
        ("queue.buffering.max.kbytes", "32768"),
    ],
    required: &[],
};

type EventProducer = ThreadedProducer<DeliveryReports>;

/// The client's settings. The operator's settings take precedence.
pub(super) fn config(settings: &Settings) -> anyhow::Result<ClientConfig> {
    let mut config = kafka::producer_config(settings)?;
    OWN_SETTINGS.add_to(&mut config, settings);
    Ok(config)
}

/// Starts the thread. It ends when every sender of the queue is gone.
pub(super) fn start(
    config: ClientConfig,
    topic: String,
    queue: mpsc::Receiver<Draft>,
    tally: Arc<Tally>,
) -> anyhow::Result<()> {
    let (room_sender, room) = sync_channel(1);
    let reports = DeliveryReports::new(tally, room_sender);
    let producer = EventProducer::from_config_and_context(&config, reports.clone())?;
    let thread = ProducerThread {
        config,
        topic: topic.into(),
        reports,
        room,
        producer,
        stall_detector: StallDetector::default(),
        sent: 0,
    };
    thread::Builder::new().name("analytics".to_owned()).spawn(move || thread.run(queue))?;
    Ok(())
}

struct ProducerThread {
    config: ClientConfig,
    topic: Arc<str>,
    reports: DeliveryReports,
    /// Receives when the client is done with an event, so that it has room for another.
    room: Receiver<()>,
    producer: EventProducer,
    stall_detector: StallDetector,
    /// How many events have been handed over.
    sent: usize,
}

impl ProducerThread {
    fn run(mut self, mut queue: mpsc::Receiver<Draft>) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(first) = queue.blocking_recv() {
            thread::sleep(GATHER_TIME);
            batch.push(first);
            while !batch.is_empty() {
                self.replace_client_if_broken();
                for draft in batch.drain(..) {
                    self.send(&draft.into());
                }
                batch.extend(iter::from_fn(|| queue.try_recv().ok()).take(BATCH));
            }
        }
    }

    /// Hands one event to the client. Blocks while the client is full, so that the queue fills and
    /// drops.
    fn send(&mut self, event: &AnalyticEvent) {
        self.sent += 1;
        let (topic, value) = (self.topic.clone(), event.value());
        let mut record = BaseRecord::with_opaque_to(&topic, self.sent)
            .key(&event.request_id)
            .payload(&value)
            .headers(kafka::owned_headers(&event.headers()));
        loop {
            match self.producer.send(record) {
                Ok(()) => return,
                // Either room will become available, or the client will be replaced.
                Err((KafkaError::MessageProduction(Code::QueueFull | Code::Fatal), unsent)) => {
                    record = unsent;
                    self.wait_for_room();
                    self.replace_client_if_broken();
                }
                Err(_) => return self.reports.dropped("the client rejected them"),
            }
        }
    }

    /// Waits until an event has left the client, at most one second.
    fn wait_for_room(&self) {
        let _ = self.room.recv_timeout(Duration::from_secs(1));
    }

    /// Replaces the client if it can't deliver any more.
    fn replace_client_if_broken(&mut self) {
        if let Some((_, reason)) = self.producer.client().fatal_error() {
            tracing::warn!(reason, "the analytics producer failed permanently; replacing it");
            return self.replace();
        }
        if self.producer.in_flight_count() == 0 {
            return self.reports.progressed();
        }
        let (now, stalled_since) = (Instant::now(), self.reports.stalled_since());
        if self.stall_detector.is_stuck(now, stalled_since, || answers(&self.config)) {
            tracing::warn!(
                "no analytic event has been delivered for a while although Kafka answers; replacing the producer"
            );
            self.replace();
        }
    }

    fn replace(&mut self) {
        let Ok(producer) = EventProducer::from_config_and_context(&self.config, self.reports.clone()) else {
            return;
        };
        let old = std::mem::replace(&mut self.producer, producer);
        kafka::retire(&old);
        if old.flush(REPORT_TIMEOUT).is_err() {
            tracing::warn!("the old analytics producer did not report on all of its events");
        }
        drop(old);
        self.reports.progressed();
        for (number, event) in self.reports.take_unsent() {
            self.send_again(number, &event);
        }
    }

    /// The new client's queue is as large as the old one's.
    fn send_again(&self, number: usize, event: &OwnedMessage) {
        let record = BaseRecord::with_opaque_to(&self.topic, number)
            .key(event.key().unwrap_or_default())
            .payload(event.payload().unwrap_or_default())
            .headers(event.headers().cloned().unwrap_or_default());
        if self.producer.send(record).is_err() {
            self.reports.dropped("the client rejected them");
        }
    }
}

/// Whether a broker answers a newly created client.
fn answers(config: &ClientConfig) -> bool {
    let mut config = config.clone();
    // This client writes nothing, and librdkafka would log a warning about the setting.
    config.remove("enable.gapless.guarantee");
    let asked =
        config.create().and_then(|client: BaseProducer| client.client().fetch_metadata(None, ANSWER_TIMEOUT));
    asked.is_ok()
}

#[cfg(test)]
mod tests;
