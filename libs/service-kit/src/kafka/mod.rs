//! Clients of the log, and the topics with their promised settings.

mod admin;
mod client;
mod contact;
mod delivery;
mod ensure;
mod headers;
mod like;
mod open;
mod own_settings;
mod promises;
mod topic_id;
mod watermarks;

pub use admin::CreatedTopic;
pub use client::{client_config, delivery_timeout, producer_config, record_timeout};
pub use contact::Contact;
pub use delivery::{log, log_error, may_be_there, retire};
pub use ensure::ensure_topics;
pub use headers::{RawHeader, header, headers, owned_headers};
pub use like::create_like;
pub use open::{OpenTransaction, await_open_transactions, high_watermarks, open_transactions};
pub use own_settings::OwnSettings;
pub use promises::{TopicFault, topic_faults};
pub use topic_id::{Described, TopicIds};
pub use watermarks::watermarks;

use events_schema::topics;

/// The topics' names, including the deployment's prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// User events.
    pub users: String,
    /// Credential events.
    pub credentials: String,
    /// Analytic events.
    pub analytics: String,
}

impl Topics {
    /// The names with this prefix.
    pub fn new(prefix: &str) -> Self {
        let name = |base| format!("{prefix}{base}");
        Self {
            users: name(topics::USERS),
            credentials: name(topics::CREDENTIALS),
            analytics: name(topics::ANALYTICS),
        }
    }
}
