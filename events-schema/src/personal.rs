//! The personal part of an event: the one place that puts it in and takes it out.
//!
//! Everything that identifies a person goes through [`encode`] and [`decode`], so that sealing it under a key of
//! the user's own is a change of this file alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use uuid::Uuid;

/// A user's claims: a free-form JSON object.
pub type Claims = Map<String, Value>;

/// The link to an identity provider.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthenticationProvider {
    /// The identity provider's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<Uuid>,
    /// The identity provider's base URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The user's identifier at the identity provider.
    pub subject_id: String,
}

/// What is known of the person: the user's whole state after the event, not a difference.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Personal {
    /// The claims, as a whole.
    pub claims: Claims,
    /// The link, left out where the user has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication_provider: Option<AuthenticationProvider>,
}

/// The personal part as it stands in an event's data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct EncodedPersonal(Personal);

/// Puts the personal part into the form in which it stands in an event.
pub fn encode(personal: Personal) -> EncodedPersonal {
    EncodedPersonal(personal)
}

/// Takes the personal part out of an event.
pub fn decode(encoded: EncodedPersonal) -> Personal {
    encoded.0
}

#[derive(Serialize)]
struct Shown<'a> {
    id: Uuid,
    #[serde(flatten)]
    personal: &'a Personal,
}

/// The user as the API shows it: JSON without spaces. What answers a write and what every read gives are this one text.
pub fn show(id: Uuid, personal: &Personal) -> String {
    // Maps with string keys and finite numbers: nothing in these types can fail to print.
    serde_json::to_string(&Shown { id, personal }).unwrap_or_default()
}

// Personal data must not reach a log line by way of `{:?}`.
impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Personal(redacted)")
    }
}

impl fmt::Debug for AuthenticationProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthenticationProvider(redacted)")
    }
}
