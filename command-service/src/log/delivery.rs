//! Delivery reports of the log's client. They add what rdkafka does not pass on: whether a record
//! that failed may be in the log nevertheless.

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

/// The log's client, with a thread that serves its reports.
pub(crate) type Client = ThreadedProducer<Reports>;

/// A failed delivery.
#[derive(Debug)]
pub(crate) struct DeliveryError {
    pub(crate) error: KafkaError,
    /// Whether the record may be in the log, or may still arrive there. If not, the client dropped
    /// it unsent, or the broker refused it.
    pub(crate) is_uncertain: bool,
}

impl DeliveryError {
    const LATE: KafkaError = KafkaError::MessageProduction(Code::MessageTimedOut);

    /// There was no report.
    pub(crate) fn unknown() -> Self {
        Self { error: Self::LATE, is_uncertain: true }
    }

    /// The record was overdue and given up.
    pub(crate) fn late(self) -> Self {
        Self { error: Self::LATE, ..self }
    }

    /// Whether the log did not answer in time.
    pub(crate) fn is_late(&self) -> bool {
        self.error == Self::LATE
    }
}

/// The place of a record in the log.
pub(crate) struct Placed {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

type Report = Result<Placed, DeliveryError>;

/// A record in flight.
pub(crate) struct Delivery {
    /// Receives the report.
    pub(crate) report: oneshot::Receiver<Report>,
    /// The client that has the record.
    pub(crate) client: Weak<Client>,
}

/// Forwards each report to the sender of its record.
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
    type DeliveryOpaque = Box<oneshot::Sender<Report>>;

    fn delivery(&self, result: &DeliveryResult<'_>, sender: Self::DeliveryOpaque) {
        let report = match result {
            Ok(message) => Ok(Placed { partition: message.partition(), offset: message.offset() }),
            Err((error, message)) => {
                Err(DeliveryError { error: error.clone(), is_uncertain: kafka::may_be_there(message) })
            }
        };
        // The receiver may have stopped waiting.
        let _ = sender.send(report);
    }
}
