//! How records of a producer end that it did not deliver.
//!
//! librdkafka (2.12.1) may write a record twice, idempotence or not: when it begins a new epoch, it sends everything under it that it holds, also
//! what it has sent before without hearing of it. The broker knows a repetition by its sequence number in one epoch alone. So no client of ours is
//! ever let begin one (see `producer_config`): whoever sends sets the bound, and a client with an overdue record is retired.

use rdkafka::{
    bindings::{rd_kafka_message_status, rd_kafka_msg_status_t},
    config::RDKafkaLogLevel as Level,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::BorrowedMessage,
    producer::{Producer, ProducerContext, PurgeConfig},
};

/// Has a client send nothing more. Everything that it holds is reported as failed, and [`may_be_there`] tells what it has sent before.
pub fn retire<C: ProducerContext>(client: &impl Producer<C>) {
    client.purge(PurgeConfig::default().queue().inflight());
}

/// Whether a record that failed may be in the log, or still get there. If not, it was never sent, or the broker refused it.
#[allow(unsafe_code, reason = "rdkafka has no safe way to ask for a message's status")]
pub fn may_be_there(message: &BorrowedMessage<'_>) -> bool {
    // SAFETY: the pointer is that of a message of a delivery report, which lives as long as `message` borrows it; the call only reads it.
    let status = unsafe { rd_kafka_message_status(message.ptr()) };
    status != rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED
}

/// Passes on what a producer logs, but not that a setting which our promises rest on is an experimental one.
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

/// Logs what a producer says of itself. Its end is left to whoever makes it anew, since retiring a client is an end, too.
pub fn log_error(error: &KafkaError, reason: &str) {
    if matches!(error, KafkaError::Global(Code::Fatal)) {
        tracing::debug!(%error, reason, "the log's client");
    } else {
        tracing::error!(%error, reason, "the log's client");
    }
}
