//! Clients of the log, and the topics as the design promises them.
// STUB: helper S1.

use crate::settings::Settings;
use rdkafka::ClientConfig;

/// The topics' names, with the deployment's prefix.
#[derive(Debug, Clone)]
pub struct Topics {
    /// User facts.
    pub users: String,
    /// Credential facts.
    pub credentials: String,
    /// Analytic events.
    pub analytics: String,
}

impl Topics {
    /// The names under a prefix.
    pub fn new(_prefix: &str) -> Self {
        unimplemented!()
    }
}

/// What every client of the log starts from: brokers, client id, the operator's own keys (which win).
///
/// # Errors
/// `KAFKA_BROKERS` is not set.
pub fn client_config(_settings: &Settings) -> Result<ClientConfig, crate::settings::SettingsError> {
    unimplemented!()
}

/// What a producer of domain events starts from: idempotent, `acks=all`, `partitioner=murmur2_random`, low linger,
/// `message.timeout.ms` below the visibility timeout.
///
/// # Errors
/// `KAFKA_BROKERS` is not set.
pub fn producer_config(_settings: &Settings) -> Result<ClientConfig, crate::settings::SettingsError> {
    unimplemented!()
}

/// Creates the topics that are missing and refuses those that break a promise (partition counts that differ or
/// `cleanup.policy`/`retention` of the two domain topics), naming topic, setting, found and wanted value, and the
/// command that mends it. Idempotent, safe in several processes at once.
///
/// # Errors
/// The broker can't be reached, or a topic breaks a promise.
pub async fn ensure_topics(_settings: &Settings) -> anyhow::Result<()> {
    unimplemented!()
}
