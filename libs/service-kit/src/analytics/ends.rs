//! What becomes of the events that were handed to the client.

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

/// An event that never left the client, with its place in the order in which events were handed over.
pub(super) type Unsent = (usize, OwnedMessage);

/// Takes the client's reports. Cheap to clone.
#[derive(Clone)]
pub(super) struct Ends {
    tally: Arc<Tally>,
    /// Told whenever the client has got rid of an event.
    room: SyncSender<()>,
    state: Arc<Mutex<State>>,
}

struct State {
    unsent: Vec<Unsent>,
    /// When an event last got through, or none was waiting.
    moved: Instant,
}

impl Ends {
    pub(super) fn new(tally: Arc<Tally>, room: SyncSender<()>) -> Self {
        let state = State { unsent: Vec::new(), moved: Instant::now() };
        Self { tally, room, state: Arc::new(Mutex::new(state)) }
    }

    /// An event is lost; `reason` in fixed words.
    pub(super) fn dropped(&self, reason: &str) {
        self.tally.dropped(reason);
    }

    /// Takes notice that no event waits for the log in vain.
    pub(super) fn moved(&self) {
        self.state().moved = Instant::now();
    }

    /// Since when no event got through though some were waiting.
    pub(super) fn still_since(&self) -> Instant {
        self.state().moved
    }

    /// What a client that was retired has never sent, in order.
    pub(super) fn take_unsent(&self) -> Vec<Unsent> {
        let mut unsent = std::mem::take(&mut self.state().unsent);
        unsent.sort_by_key(|(number, _)| *number);
        unsent
    }

    fn failed(&self, error: &KafkaError, message: &BorrowedMessage<'_>, number: usize) {
        match error {
            _ if kafka::may_be_there(message) => self.dropped("it is not known whether the log has them"),
            KafkaError::MessageProduction(Code::PurgeQueue) => {
                self.state().unsent.push((number, message.detach()));
            }
            _ => self.dropped("the log did not take them"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Ends {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        kafka::log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        kafka::log_error(&error, reason);
    }
}

impl ProducerContext for Ends {
    /// The event's number.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        match result {
            Ok(_) => {
                self.moved();
                self.tally.sent();
            }
            Err((error, message)) => self.failed(error, message, number),
        }
        // Full: it has been told already.
        let _ = self.room.try_send(());
    }
}
