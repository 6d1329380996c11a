//! What happens to records that a producer did not deliver.
//!
//! librdkafka (2.12.1) may write a record twice, even with idempotence: when it starts a new epoch,
//! it sends again everything it holds, including what it has sent without getting a reply. A broker
//! detects duplicates by sequence number only within one epoch. So our clients must never start one
//! (see `producer_config`). Instead the sender sets a time limit, and a client with an overdue
//! record is retired.

use rdkafka::{
    bindings::{rd_kafka_message_status, rd_kafka_msg_status_t},
    config::RDKafkaLogLevel as Level,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::BorrowedMessage,
    producer::{Producer, ProducerContext, PurgeConfig},
};

/// Makes a client stop sending. Everything it holds is reported as failed; [`may_be_there`] tells
/// which records were sent before.
pub fn retire<C: ProducerContext>(client: &impl Producer<C>) {
    client.purge(PurgeConfig::default().queue().inflight());
}

/// Whether a failed record may be in the log or may still arrive there. If not, it was never sent
/// or the broker rejected it.
#[allow(unsafe_code, reason = "rdkafka has no safe way to ask for a message's status")]
pub fn may_be_there(message: &BorrowedMessage<'_>) -> bool {
    // SAFETY: the pointer belongs to the message of a delivery report, which outlives the borrow;
    // the call only reads it.
    let status = unsafe { rd_kafka_message_status(message.ptr()) };
    status != rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED
}

/// Forwards a producer's log lines, except the warning that a setting we rely on is experimental.
pub fn log(level: Level, facility: &str, text: &str) {
    match level {
        _ if facility == "CONFWARN" && text.contains("enable.gapless.guarantee") => {}
        Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
            tracing::error!(target: "librdkafka", "{facility} {text}");
        }
        Level::Warning => tracing::warn!(target: "librdkafka", "{facility} {text}"),
        Level::Notice | Level::Info => tracing::info!(target: "librdkafka", "{facility} {text}"),
        Level::Debug => tracing::debug!(target: "librdkafka", "{facility} {text}"),
    }
}

/// Logs a producer's errors. A fatal error is only logged at debug level: retiring a client causes
/// one as well, and whoever replaces the client reports it.
pub fn log_error(error: &KafkaError, reason: &str) {
    if matches!(error, KafkaError::Global(Code::Fatal)) {
        tracing::debug!(target: "librdkafka", "the log's producer reports {error}: {reason}");
    } else {
        tracing::error!(target: "librdkafka", "the log's producer reports {error}: {reason}");
    }
}
