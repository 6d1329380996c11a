//! What the log's client says at a record's end, with what rdkafka alone does not pass on: whether a record that failed may be in
//! the log all the same.

use rdkafka::{
    ClientContext,
    bindings::{rd_kafka_message_status, rd_kafka_msg_status_t},
    error::KafkaError,
    message::{BorrowedMessage, Message as _},
    producer::{DeliveryResult, ProducerContext, ThreadedProducer},
};
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

/// Partition and offset, or none.
type End = Result<(i32, i64), Failed>;

/// A record on its way: resolves at its end.
pub(crate) type Delivery = oneshot::Receiver<End>;

/// Tells each sender what became of its record.
pub(crate) struct Reports;

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<oneshot::Sender<End>>;

    fn delivery(&self, result: &DeliveryResult<'_>, sender: Self::DeliveryOpaque) {
        let end = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, message)) => {
                Err(Failed { error: error.clone(), is_uncertain: is_uncertain(message) })
            }
        };
        // Nobody may be waiting any more.
        let _ = sender.send(end);
    }
}

#[allow(unsafe_code, reason = "rdkafka has no safe way to ask for a message's status")]
fn is_uncertain(message: &BorrowedMessage<'_>) -> bool {
    // SAFETY: the pointer is that of a message of a delivery report, which lives as long as `message` borrows it; the call only reads it.
    let status = unsafe { rd_kafka_message_status(message.ptr()) };
    status != rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED
}
