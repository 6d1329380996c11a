//! Events about credentials: the data of `users.credentials`, written by issuing systems.

use crate::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The profile of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// ISO 18013-5 mobile credential.
    Mobile,
    /// CWT credential.
    Compact,
    /// CWT credential with semantic terms.
    CompactSemantic,
    /// W3C JSON-LD credential.
    WebSemantic,
}

/// The validity status of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Valid.
    Valid,
    /// Temporarily invalid.
    Suspended,
    /// Permanently invalid.
    Revoked,
}

/// A credential as an item of the credentials list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// The credential's id.
    pub id: Uuid,
    /// Its type, such as a document type or a context's term.
    #[serde(rename = "type")]
    pub credential_type: String,
    /// Its profile.
    pub profile: Profile,
    /// The offer from which it was claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer_id: Option<String>,
    /// The issuing session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The configuration that it was issued with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_configuration_id: Option<String>,
    /// When it was issued, RFC 3339, stored unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_date: Option<String>,
    /// From when it is valid, RFC 3339, stored unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// Until when it is valid, RFC 3339, stored unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// Its status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// A JWK object or a base64url COSE key, stored unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_public_key: Option<Value>,
    /// An object or an array, stored unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Value>,
    /// Digest of the mobile security object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mso_hash: Option<String>,
}

/// Data of `credential.issued.v1`. A credential is issued once: a later event with the same id has
/// no effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "credential.issued.v1")]
pub struct CredentialIssued {
    /// The credential.
    #[serde(flatten)]
    pub credential: Credential,
    /// The time by which the list is ordered. Defaults to `ce_time`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

/// Data of `credential.status-changed.v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "credential.status-changed.v1")]
pub struct CredentialStatusChanged {
    /// The credential's id.
    pub id: Uuid,
    /// Its new status.
    pub status: Status,
}

/// An event about a user's credential.
#[derive(Debug, Clone, PartialEq)]
pub enum CredentialEvent {
    /// A credential was issued to the user.
    Issued(Box<CredentialIssued>),
    /// A credential's status changed.
    StatusChanged(CredentialStatusChanged),
}

impl CredentialEvent {
    /// The type under which it is written.
    pub fn event_type(&self) -> crate::EventType {
        match self {
            Self::Issued(_) => crate::EventType::CredentialIssued,
            Self::StatusChanged(_) => crate::EventType::CredentialStatusChanged,
        }
    }

    /// The credential's id.
    pub fn id(&self) -> Uuid {
        match self {
            Self::Issued(data) => data.credential.id,
            Self::StatusChanged(data) => data.id,
        }
    }

    /// The record's value: JSON.
    pub fn data(&self) -> Vec<u8> {
        let data = match self {
            Self::Issued(data) => serde_json::to_vec(data),
            Self::StatusChanged(data) => serde_json::to_vec(data),
        };
        // Maps with string keys and finite numbers: serializing these types can't fail.
        data.unwrap_or_default()
    }
}
