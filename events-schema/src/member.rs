//! Finds which member of an event's data is invalid. Members are named; values are never shown.
//!
//! serde reports only that the whole is invalid, or repeats the value. So after it rejects data,
//! the members are checked one by one.

use crate::{
    Timestamp,
    credential::{Profile, Status},
    personal::Base64,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

/// A missing or invalid member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongMember {
    /// Its path (`personal.nonce`). Empty: the data as a whole.
    pub path: String,
    /// What is wrong, in fixed words.
    pub msg: &'static str,
}

impl WrongMember {
    /// Path and message as one text.
    #[must_use]
    pub fn in_words(&self) -> String {
        if self.path.is_empty() { self.msg.to_owned() } else { format!("{}: {}", self.path, self.msg) }
    }
}

/// A member of a type.
pub(crate) struct Member {
    name: &'static str,
    is_required: bool,
    check: fn(&Value) -> Option<WrongMember>,
}

/// The members of `credential.issued.v1`.
pub(crate) const ISSUED: &[Member] = &[
    required("id", uuid),
    required("type", string),
    required("profile", |value| unless(is::<Profile>(value), PROFILES)),
    optional("offerId", string),
    optional("sessionId", string),
    optional("credentialConfigurationId", string),
    optional("issuedDate", rfc3339),
    optional("validFrom", rfc3339),
    optional("validUntil", rfc3339),
    optional("status", status),
    optional("devicePublicKey", |value| {
        unless(value.is_object() || value.is_string(), "Must be a JWK object or a string")
    }),
    optional("namespaces", |value| {
        unless(value.is_object() || value.is_array(), "Must be an object or an array")
    }),
    optional("msoHash", string),
    optional("createdAt", timestamp),
];
/// The members of `credential.status-changed.v1`.
pub(crate) const STATUS_CHANGED: &[Member] = &[required("id", uuid), required("status", status)];
/// The members of `user.created.v1`.
pub(crate) const CREATED: &[Member] = &[required("createdAt", timestamp), required("personal", personal)];
/// The members of `user.updated.v1`.
pub(crate) const UPDATED: &[Member] = &[required("personal", personal)];
/// The members of `user.deleted.v1`.
pub(crate) const DELETED: &[Member] = &[];

const SEALED: &[Member] = &[required("nonce", base64), required("ciphertext", base64)];
const PLAIN: &[Member] = &[
    required("claims", |value| unless(value.is_object(), "Must be an object")),
    optional("authenticationProvider", |value| first_wrong(value, LINK)),
];
const LINK: &[Member] =
    &[required("subjectId", string), optional("providerId", uuid), optional("url", string)];

const PROFILES: &str = "Must be mobile, compact, compact-semantic or web-semantic";

/// The first missing or invalid member. `None` if each member by itself is valid.
pub(crate) fn first_wrong(data: &Value, members: &[Member]) -> Option<WrongMember> {
    let Some(object) = data.as_object() else { return wrong("Must be an object") };
    members.iter().find_map(|member| {
        let found = match object.get(member.name) {
            None if member.is_required => wrong("Is required"),
            None => None,
            Some(Value::Null) if !member.is_required => None,
            Some(value) => (member.check)(value),
        };
        found.map(|inner| inner.under(member.name))
    })
}

/// The outermost member of a path, if one of our types has it. Any other name may come from
/// someone's claims.
#[must_use]
pub fn known_member(path: &str) -> Option<&'static str> {
    let first = path.split(['.', '[']).next()?;
    [CREATED, ISSUED].into_iter().flatten().map(|member| member.name).find(|name| *name == first)
}

impl WrongMember {
    fn under(self, name: &str) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{name}.{}", self.path) };
        Self { path, ..self }
    }
}

const fn required(name: &'static str, check: fn(&Value) -> Option<WrongMember>) -> Member {
    Member { name, is_required: true, check }
}

const fn optional(name: &'static str, check: fn(&Value) -> Option<WrongMember>) -> Member {
    Member { name, is_required: false, check }
}

fn wrong(msg: &'static str) -> Option<WrongMember> {
    Some(WrongMember { path: String::new(), msg })
}

fn unless(is_right: bool, msg: &'static str) -> Option<WrongMember> {
    if is_right { None } else { wrong(msg) }
}

fn is<T: DeserializeOwned>(value: &Value) -> bool {
    T::deserialize(value).is_ok()
}

fn uuid(value: &Value) -> Option<WrongMember> {
    unless(is::<Uuid>(value), "Must be a uuid")
}

fn string(value: &Value) -> Option<WrongMember> {
    unless(value.is_string(), "Must be a string")
}

fn timestamp(value: &Value) -> Option<WrongMember> {
    unless(is::<Timestamp>(value), "Must be an RFC 3339 time")
}

/// A time that is stored unchanged.
fn rfc3339(value: &Value) -> Option<WrongMember> {
    let is_time = value.as_str().is_some_and(|text| OffsetDateTime::parse(text, &Rfc3339).is_ok());
    unless(is_time, "Must be an RFC 3339 time")
}

fn status(value: &Value) -> Option<WrongMember> {
    unless(is::<Status>(value), "Must be valid, suspended or revoked")
}

fn base64(value: &Value) -> Option<WrongMember> {
    unless(is::<Base64>(value), "Must be base64")
}

fn personal(value: &Value) -> Option<WrongMember> {
    let is_plain = value.get("claims").is_some();
    first_wrong(value, if is_plain { PLAIN } else { SEALED })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn says(data: &Value, members: &[Member], words: &str) {
        assert_eq!(first_wrong(data, members).map(|wrong| wrong.in_words()).as_deref(), Some(words));
    }

    #[test]
    fn the_first_wrong_member_is_named() {
        let id = "0c3fad74-a8df-4a2d-8e75-f2d356b413ba";
        says(&json!([]), ISSUED, "Must be an object");
        says(&json!({}), ISSUED, "id: Is required");
        says(&json!({ "id": id, "type": 1 }), ISSUED, "type: Must be a string");
        says(&json!({ "id": id, "type": "T", "profile": "x" }), ISSUED, &format!("profile: {PROFILES}"));
        let sound = json!({ "id": id, "type": "T", "profile": "mobile" });
        let with = |name: &str, value: Value| {
            let mut data = sound.clone();
            data[name] = value;
            data
        };
        says(&with("validFrom", json!("now")), ISSUED, "validFrom: Must be an RFC 3339 time");
        says(&with("namespaces", json!(1)), ISSUED, "namespaces: Must be an object or an array");
        assert_eq!(
            first_wrong(&with("offerId", Value::Null), ISSUED),
            None,
            "null is as good as absent in the log"
        );
        says(&json!({ "personal": { "nonce": "!" } }), UPDATED, "personal.nonce: Must be base64");
        says(&json!({ "personal": { "claims": 1 } }), UPDATED, "personal.claims: Must be an object");
        let link = json!({ "personal": { "claims": {}, "authenticationProvider": {} } });
        says(&link, UPDATED, "personal.authenticationProvider.subjectId: Is required");
        says(
            &json!({ "id": id, "status": "lost" }),
            STATUS_CHANGED,
            "status: Must be valid, suspended or revoked",
        );
    }

    #[test]
    fn only_names_of_ours_are_shown() {
        assert_eq!(known_member("personal.claims.name"), Some("personal"));
        assert_eq!(known_member("namespaces[0].x"), Some("namespaces"));
        assert_eq!((known_member("name"), known_member("")), (None, None));
    }
}
