//! What happened to the events that were handed to the Kafka client.

use super::tally::Tally;
use crate::kafka;
use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{BorrowedMessage, OwnedMessage},
    producer::{DeliveryResult, ProducerContext},
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::SyncSender},
    time::Instant,
};

/// An event that never left the client, with its sequence number.
pub(super) type Unsent = (usize, OwnedMessage);

/// Receives the client's delivery reports. Cheap to clone.
#[derive(Clone)]
pub(super) struct DeliveryReports {
    tally: Arc<Tally>,
    /// Notified whenever the client is done with an event.
    room_sender: SyncSender<()>,
    state: Arc<Mutex<State>>,
}

struct State {
    unsent: Vec<Unsent>,
    /// When an event was last delivered, or no event was waiting.
    progressed: Instant,
}

impl DeliveryReports {
    pub(super) fn new(tally: Arc<Tally>, room_sender: SyncSender<()>) -> Self {
        let state = State { unsent: Vec::new(), progressed: Instant::now() };
        Self { tally, room_sender, state: Arc::new(Mutex::new(state)) }
    }

    /// Counts an event as lost. `reason` is a fixed text.
    pub(super) fn dropped(&self, reason: &str) {
        self.tally.dropped(reason);
    }

    /// Records progress: an event was delivered, or none is waiting.
    pub(super) fn progressed(&self) {
        self.state().progressed = Instant::now();
    }

    /// Since when no event has been delivered although some were waiting.
    pub(super) fn stalled_since(&self) -> Instant {
        self.state().progressed
    }

    /// The events that a retired client never sent, in order.
    pub(super) fn take_unsent(&self) -> Vec<Unsent> {
        let mut unsent = std::mem::take(&mut self.state().unsent);
        unsent.sort_by_key(|(number, _)| *number);
        unsent
    }

    fn failed(&self, error: &KafkaError, message: &BorrowedMessage<'_>, number: usize) {
        match error {
            _ if kafka::may_be_there(message) => self.dropped("the log may or may not have them"),
            KafkaError::MessageProduction(Code::PurgeQueue) => {
                self.state().unsent.push((number, message.detach()));
            }
            _ => self.dropped("the log rejected them"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for DeliveryReports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        kafka::log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        kafka::log_error(&error, reason);
    }
}

impl ProducerContext for DeliveryReports {
    /// The event's sequence number.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        match result {
            Ok(_) => {
                self.progressed();
                self.tally.sent();
            }
            Err((error, message)) => self.failed(error, message, number),
        }
        // A full channel means that the receiver has been notified already.
        let _ = self.room_sender.try_send(());
    }
}
