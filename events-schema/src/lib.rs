//! The vocabulary of Rollcall's log: what is written to Kafka, and nothing else.
//!
//! Pure: no I/O, no clock, no async. Everything that a consumer of the topics needs is here and in
//! `schemas/`.

pub mod analytics;
pub mod credential;
mod decode;
mod envelope;
mod key;
mod member;
pub mod personal;
pub mod raw;
mod reason;
pub mod schema;
mod timestamp;
mod topic;
mod upcast;
pub mod user;

pub use decode::{CredentialRecord, UserRecord, decode_credential, decode_user, event_type};
pub use envelope::{CONTENT_TYPE, Envelope, EventType, Headers, SOURCE};
pub use key::{InvalidTenant, TenantId, UserKey};
pub use member::{WrongMember, known_member};
pub use reason::{Reason, ReasonCode};
pub use timestamp::{InvalidTimestamp, Timestamp, millis};
pub use topic::{Partition, Place, Topic};
pub use upcast::{current_data, read_personal};

/// Base names of the topics. A deployment may add a prefix.
pub mod topics {
    /// User events, written only by the command service.
    pub const USERS: &str = "users.events";
    /// Credential events, written by issuing systems.
    pub const CREDENTIALS: &str = "users.credentials";
    /// Analytic events.
    pub const ANALYTICS: &str = "users.analytics";
}
