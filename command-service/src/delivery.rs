//! What the log's client says at a record's end, with what rdkafka alone does not pass on: whether a record that failed may be in
//! the log all the same.

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::Message as _,
    producer::{DeliveryResult, ProducerContext, ThreadedProducer},
};
use service_kit::kafka;
use std::sync::Weak;
use tokio::sync::oneshot;

/// The log's client, with a thread that serves the reports.
pub(crate) type Client = ThreadedProducer<Reports>;

/// A record that has no place in the log, as far as the client can say.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: KafkaError,
    /// Whether it may be there, or still get there. If not, the client has dropped it before it sent it, or the broker refused it.
    pub(crate) is_uncertain: bool,
}

impl Failed {
    const LATE: KafkaError = KafkaError::MessageProduction(Code::MessageTimedOut);

    /// Of a record that nothing more was heard of.
    pub(crate) fn unknown() -> Self {
        Self { error: Self::LATE, is_uncertain: true }
    }

    /// The same of a record that was given up because it was overdue.
    pub(crate) fn late(self) -> Self {
        Self { error: Self::LATE, ..self }
    }

    /// Whether the log did not answer in time.
    pub(crate) fn is_late(&self) -> bool {
        self.error == Self::LATE
    }
}

/// Where a record is.
pub(crate) struct Place {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

type End = Result<Place, Failed>;

/// A record on its way.
pub(crate) struct Delivery {
    /// Resolves at its end.
    pub(crate) end: oneshot::Receiver<End>,
    /// What it was handed to.
    pub(crate) client: Weak<Client>,
}

/// Tells each sender what became of its record.
pub(crate) struct Reports;

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        kafka::log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        kafka::log_error(&error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<oneshot::Sender<End>>;

    fn delivery(&self, result: &DeliveryResult<'_>, sender: Self::DeliveryOpaque) {
        let end = match result {
            Ok(message) => Ok(Place { partition: message.partition(), offset: message.offset() }),
            Err((error, message)) => {
                Err(Failed { error: error.clone(), is_uncertain: kafka::may_be_there(message) })
            }
        };
        // Nobody may be waiting any more.
        let _ = sender.send(end);
    }
}
