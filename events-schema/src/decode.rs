//! Decodes a record into an event. Checks headers and data. Key, partition and size limits are
//! checked before, in `event_log::record::decode`.

use crate::{
    EventType, Reason, ReasonCode, Timestamp, UserKey, WrongMember,
    credential::{CredentialEvent, CredentialIssued},
    member::{self, Member, first_wrong},
    topics,
    upcast::{Upcast, known, upcast},
    user::UserEvent,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

/// A user event with the parts of its envelope that the projector needs.
#[derive(Debug, Clone, PartialEq)]
pub struct UserRecord {
    /// `ce_id`.
    pub id: Uuid,
    /// `ce_type`: the version as it was written. Sealed data is bound to it.
    pub ce_type: &'static str,
    /// The user.
    pub key: UserKey,
    /// The version that the user has once the event is accepted.
    pub sequence: u64,
    /// When the event was created.
    pub time: Timestamp,
    /// The data key under which the personal data is sealed. Present whenever that is sealed.
    pub key_id: Option<Uuid>,
    /// The request that caused it, if any.
    pub request_id: Option<String>,
    /// The client that made the request.
    pub client_id: Option<String>,
    /// The trace of the request.
    pub traceparent: Option<String>,
    /// The event.
    pub event: UserEvent,
}

/// A credential event with the parts of its envelope that the projector needs.
#[derive(Debug, Clone, PartialEq)]
pub struct CredentialRecord {
    /// The user whose credential it is.
    pub key: UserKey,
    /// When the event was created.
    pub time: Timestamp,
    /// The event.
    pub event: CredentialEvent,
}

/// The headers of a record, looked up by name.
struct Attributes<'a>(&'a [(&'a str, &'a [u8])]);

impl<'a> Attributes<'a> {
    fn optional(&self, name: &'static str) -> Result<Option<&'a str>, Reason> {
        let mut found = self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some((_, value)), None) => match std::str::from_utf8(value) {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(bad_header(name, "is not UTF-8")),
            },
            (Some(_), Some(_)) => Err(ReasonCode::DoubledHeader.with(name)),
        }
    }

    fn required(&self, name: &'static str) -> Result<&'a str, Reason> {
        self.optional(name)?.ok_or_else(|| ReasonCode::MissingHeader.with(name))
    }

    /// `ce_type` of an event in binary mode.
    fn ce_type(&self) -> Result<&'a str, Reason> {
        const NAME: &str = "ce_type";
        self.is_binary()?;
        let ce_type = self.required(NAME)?;
        if ce_type.trim().is_empty() { Err(ReasonCode::EmptyHeader.with(NAME)) } else { Ok(ce_type) }
    }

    /// The content type determines the mode. In the other modes the attributes are in the value,
    /// whatever the headers say.
    fn is_binary(&self) -> Result<(), Reason> {
        const MODES: [(&[u8], ReasonCode); 2] = [
            (b"application/cloudevents-batch", ReasonCode::BatchMode),
            (b"application/cloudevents", ReasonCode::StructuredMode),
        ];
        let types = self.0.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        for (_, value) in types {
            let value = value.trim_ascii_start();
            let is_of =
                |mode: &[u8]| value.get(..mode.len()).is_some_and(|start| start.eq_ignore_ascii_case(mode));
            if let Some((_, reason)) = MODES.into_iter().find(|(mode, _)| is_of(mode)) {
                return Err(reason.alone());
            }
        }
        Ok(())
    }
}

/// A malformed header. `wrong` is a fixed text.
fn bad_header(name: &str, wrong: &str) -> Reason {
    ReasonCode::BadHeader.with(format!("{name} {wrong}"))
}

/// The type that a record's headers name. `Ok(None)`: a type that this build does not know. It is
/// skipped and counted, whatever its value.
///
/// # Errors
/// Why the record is poison: it names no type, or a version that this build can't read, or it is
/// not in binary mode.
pub fn event_type(headers: &[(&str, &[u8])]) -> Result<Option<EventType>, Reason> {
    known(Attributes(headers).ce_type()?)
}

/// Decodes a record of `users.events`. `Ok(None)`: a type that this build does not know. It is
/// skipped and counted.
///
/// `value` is the record's value as parsed JSON, `key` its key, and `headers` its headers
/// unchanged.
///
/// # Errors
/// Why the record is poison.
pub fn decode_user(
    key: &UserKey,
    headers: &[(&str, &[u8])],
    value: Value,
) -> Result<Option<UserRecord>, Reason> {
    let attributes = Attributes(headers);
    let ce_type = attributes.ce_type()?;
    let Some(Upcast { event_type, ce_type, data }) = upcast(ce_type, value)? else { return Ok(None) };
    check_owner(key, &attributes)?;
    let event = match event_type {
        EventType::UserCreated => UserEvent::Created(read(data, member::CREATED)?),
        EventType::UserUpdated => UserEvent::Updated(read(data, member::UPDATED)?),
        EventType::UserDeleted => UserEvent::Deleted(read(data, member::DELETED)?),
        EventType::CredentialIssued | EventType::CredentialStatusChanged => {
            return Err(ReasonCode::WrongTopic.with(topics::CREDENTIALS));
        }
    };
    let key_id = key_id(&attributes, &event)?;
    let sequence = attributes.required("ce_sequence")?;
    let sequence = sequence.parse().ok().filter(|n| (1..=i64::MAX as u64).contains(n));
    Ok(Some(UserRecord {
        id: attributes.required("ce_id")?.parse().map_err(|_| bad_header("ce_id", "is not a uuid"))?,
        ce_type,
        key: key.clone(),
        sequence: sequence.ok_or_else(|| bad_header("ce_sequence", "is not a whole number from 1"))?,
        time: time(attributes.required("ce_time")?)?,
        key_id,
        request_id: attributes.optional("ce_requestid")?.map(str::to_owned),
        client_id: attributes.optional("ce_clientid")?.map(str::to_owned),
        // No event depends on it, so an invalid one is dropped and does not poison the record.
        traceparent: attributes.optional("traceparent").ok().flatten().map(str::to_owned),
        event,
    }))
}

/// Decodes a record of `users.credentials`; see [`decode_user`]. Issuing systems in any language
/// write these, so only the type is required of the headers. If `ce_tenantid` and `ce_subject` are
/// given, they must match the key. If `ce_time` is not given, the record's own timestamp is used.
///
/// # Errors
/// Why the record is poison.
pub fn decode_credential(
    key: &UserKey,
    headers: &[(&str, &[u8])],
    value: Value,
    record_time: Option<Timestamp>,
) -> Result<Option<CredentialRecord>, Reason> {
    let attributes = Attributes(headers);
    let ce_type = attributes.ce_type()?;
    let Some(Upcast { event_type, data, .. }) = upcast(ce_type, value)? else { return Ok(None) };
    check_owner(key, &attributes)?;
    let event = match event_type {
        EventType::CredentialIssued => {
            CredentialEvent::Issued(Box::new(CredentialIssued::from_json(data).map_err(bad_data)?))
        }
        EventType::CredentialStatusChanged => {
            CredentialEvent::StatusChanged(read(data, member::STATUS_CHANGED)?)
        }
        EventType::UserCreated | EventType::UserUpdated | EventType::UserDeleted => {
            return Err(ReasonCode::WrongTopic.with(topics::USERS));
        }
    };
    let time = match attributes.optional("ce_time")? {
        Some(text) => time(text)?,
        None => record_time.ok_or(ReasonCode::NoTime)?,
    };
    Ok(Some(CredentialRecord { key: key.clone(), time, event }))
}

fn time(text: &str) -> Result<Timestamp, Reason> {
    text.parse().map_err(|_| bad_header("ce_time", "is not an RFC 3339 time"))
}

/// Reads `ce_keyid`. It is required if the event has sealed data.
fn key_id(attributes: &Attributes<'_>, event: &UserEvent) -> Result<Option<Uuid>, Reason> {
    const NAME: &str = "ce_keyid";
    let key_id = attributes.optional(NAME)?.map(str::parse).transpose();
    let key_id = key_id.map_err(|_| bad_header(NAME, "is not a uuid"))?;
    if key_id.is_none() && event.is_sealed() { Err(ReasonCode::MissingHeader.with(NAME)) } else { Ok(key_id) }
}

fn check_owner(key: &UserKey, attributes: &Attributes<'_>) -> Result<(), Reason> {
    let tenant = attributes.optional("ce_tenantid")?;
    if tenant.is_some_and(|tenant| tenant != key.tenant.as_str()) {
        return Err(ReasonCode::HeaderMismatch.with("ce_tenantid"));
    }
    let subject = attributes.optional("ce_subject")?;
    if subject.is_some_and(|subject| subject.parse() != Ok(key.user)) {
        return Err(ReasonCode::HeaderMismatch.with("ce_subject"));
    }
    Ok(())
}

/// Deserializes the data of a type. serde's own message is not used, since it may repeat the value.
fn read<T: DeserializeOwned>(value: Value, members: &[Member]) -> Result<T, Reason> {
    T::deserialize(&value).map_err(|_| bad_data(wrong_in(&value, members)))
}

fn bad_data(wrong: WrongMember) -> Reason {
    ReasonCode::BadData.with(wrong.in_words())
}

/// Finds what is wrong in data that serde has rejected.
fn wrong_in(value: &Value, members: &[Member]) -> WrongMember {
    first_wrong(value, members)
        .unwrap_or(WrongMember { path: String::new(), msg: "Not the shape that the type asks for" })
}

impl CredentialIssued {
    /// Reads the data of `credential.issued.v1` from JSON, with every check that the log's
    /// consumers make.
    ///
    /// # Errors
    /// The missing or invalid member.
    pub fn from_json(value: Value) -> Result<Self, WrongMember> {
        // serde accepts any text for a time that is stored unchanged, and anything for a key or
        // namespaces. So the members are checked first.
        match first_wrong(&value, member::ISSUED) {
            Some(wrong) => Err(wrong),
            None => serde_json::from_value(value).map_err(|_| WrongMember {
                path: String::new(),
                msg: "Not the shape that the type asks for",
            }),
        }
    }
}
