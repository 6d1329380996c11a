//! The personal data of an event, and how it is encoded.
//!
//! Personal data is in an event only in sealed form: AES-256-GCM under a data key that belongs to
//! one user, whose id is in the header `ce_keyid`. Once that key is destroyed, nobody can read the
//! event, wherever a copy of it is. This file defines what is sealed and what it is bound to. The
//! key and the cipher come from outside.

use crate::UserKey;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};
use std::fmt;
use uuid::Uuid;

/// A user's claims: a free-form JSON object.
pub type Claims = Map<String, Value>;

/// The link to an identity provider.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// Personal data: the user's complete state after the event, not a difference.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Personal {
    /// All claims.
    pub claims: Claims,
    /// The link, omitted if the user has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication_provider: Option<AuthenticationProvider>,
}

/// Personal data sealed with AES-256-GCM. The plaintext is JSON, `{"claims": {…},
/// "authenticationProvider"?: {…}}`, padded with trailing spaces to a length step. The associated
/// data is the text `<tenantId>/<userId>`, a line feed, `ce_type`, a line feed, `ce_sequence`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sealed {
    /// 192 bits, random for each event, in base64: a salt and a nonce of 96 bits each. Older events
    /// have only a nonce of 96 bits.
    pub nonce: Base64,
    /// The ciphertext followed by the 128-bit tag, in base64.
    pub ciphertext: Base64,
}

/// Personal data as it is in an event's data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EncodedPersonal {
    /// The current form.
    Sealed(Sealed),
    /// The form before data keys were introduced. It is still read but never written, and destroying a
    /// key does not erase it.
    Plain(Personal),
}

/// Bytes that are base64 with padding in JSON.
#[derive(Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", inline, extend("contentEncoding" = "base64"))]
pub struct Base64(pub Vec<u8>);

/// The event that sealed data is bound to. In another event, it can't be opened.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// The user whose event it is.
    pub key: &'a UserKey,
    /// The event's `ce_type`: its type, and the version as it was written.
    pub ce_type: &'a str,
    /// Its sequence.
    pub sequence: u64,
}

impl Binding<'_> {
    /// The associated data. No part can contain a line feed, so it is unique to the event.
    pub fn associated_data(&self) -> String {
        format!("{}\n{}\n{}", self.key, self.ce_type, self.sequence)
    }
}

/// The minimum length of a plaintext in bytes.
const SHORTEST: usize = 256;
/// The number of lengths that longer plaintexts can have between two powers of two.
const STEPS: usize = 8;

impl Personal {
    /// The plaintext: JSON, padded so that its length reveals only a step.
    pub fn plaintext(&self) -> Vec<u8> {
        // Maps with string keys and finite numbers: serializing these types can't fail.
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.resize(padded(text.len()), b' ');
        text
    }

    /// Parses a plaintext of the current version. `None` if it is not the JSON of personal data.
    pub fn of_plaintext(plaintext: &[u8]) -> Option<Self> {
        serde_json::from_slice(plaintext).ok()
    }
}

fn padded(length: usize) -> usize {
    let step = (length.next_power_of_two() / STEPS).max(SHORTEST);
    length.max(1).next_multiple_of(step)
}

#[derive(Serialize)]
struct Representation<'a> {
    id: Uuid,
    #[serde(flatten)]
    personal: &'a Personal,
}

/// The user as the API represents it: JSON without spaces. The response to a write and every read
/// return this same text.
pub fn user_json(id: Uuid, personal: &Personal) -> String {
    // Maps with string keys and finite numbers: serializing these types can't fail.
    serde_json::to_string(&Representation { id, personal }).unwrap_or_default()
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(|_| D::Error::custom("not base64"))
    }
}

impl fmt::Debug for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base64({} bytes)", self.0.len())
    }
}

// Personal data must not get into a log line through `{:?}`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_come_in_steps() {
        assert_eq!([0, 1, 255, 256].map(padded), [SHORTEST; 4]);
        assert_eq!([257, 512, 513].map(padded), [512, 512, 768]);
        for length in (1..300_000).step_by(97) {
            let padded = padded(length);
            assert!(padded >= length && padded <= length + length / 4 + SHORTEST, "{length} → {padded}");
        }
    }

    #[test]
    fn the_padding_is_no_part_of_what_is_read() {
        let personal: Personal =
            serde_json::from_str(r#"{"claims":{"a":1.5},"authenticationProvider":{"subjectId":"s"}}"#)
                .unwrap();
        assert_eq!(personal.plaintext().len(), SHORTEST);
        assert_eq!(Personal::of_plaintext(&personal.plaintext()), Some(personal));
        assert_eq!(Personal::of_plaintext(b"{}"), None);
    }
}
