//! From a record to a fact: every check that a consumer owes the log, in one place.

use crate::{
    EventType, Timestamp, UserKey,
    credential::CredentialEvent,
    upcast::{Upcast, known, upcast},
    user::UserEvent,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

/// Why a record is no fact. The texts name places and never repeat what stood there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No key, or one that is not `<tenantId>/<userId>`.
    #[error("key: {0}")]
    Key(&'static str),
    /// The record lies in a partition that its key does not belong to.
    #[error("the key does not belong to this partition")]
    Partition,
    /// A header that must be there is not, or is there twice, or can't be read.
    #[error("header {0} is missing or unreadable")]
    Header(&'static str),
    /// A header says something else than the key.
    #[error("header {0} is not that of the key")]
    HeaderMismatch(&'static str),
    /// The type is known, its version is not.
    #[error("the type's version is not known to this build")]
    UnknownVersion,
    /// The value is not the JSON that the type asks for.
    #[error("data: {0}")]
    Data(String),
}

/// A user fact with what the fold needs of its envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct UserRecord {
    /// `ce_id`.
    pub id: Uuid,
    /// Whose fact it is.
    pub key: UserKey,
    /// The version that the user has once the fact is accepted.
    pub sequence: u64,
    /// When the event was made.
    pub time: Timestamp,
    /// The data key under which the personal part is sealed; there whenever it is.
    pub key_id: Option<Uuid>,
    /// The request that asked for it, if one did.
    pub request_id: Option<String>,
    /// The client that asked for it.
    pub client_id: Option<String>,
    /// The trace of that request.
    pub traceparent: Option<String>,
    /// The fact.
    pub event: UserEvent,
}

/// A credential fact with what the fold needs of its envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct CredentialRecord {
    /// Whose credential it is.
    pub key: UserKey,
    /// When the event was made.
    pub time: Timestamp,
    /// The fact.
    pub event: CredentialEvent,
}

/// The headers of a record, looked up by name. A repeated header counts as unreadable.
struct Attributes<'a>(&'a [(&'a str, &'a [u8])]);

impl<'a> Attributes<'a> {
    fn optional(&self, name: &'static str) -> Result<Option<&'a str>, DecodeError> {
        let mut found = self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some((_, value)), None) => {
                std::str::from_utf8(value).map(Some).map_err(|_| DecodeError::Header(name))
            }
            (Some(_), Some(_)) => Err(DecodeError::Header(name)),
        }
    }

    fn required(&self, name: &'static str) -> Result<&'a str, DecodeError> {
        self.optional(name)?.ok_or(DecodeError::Header(name))
    }
}

/// The type that a record's headers name. `Ok(None)`: one that this build does not know, to be skipped and counted whatever its value is.
///
/// # Errors
/// A [`DecodeError`] where the record is poison: it names none, or a version that this build can't read.
pub fn event_type(headers: &[(&str, &[u8])]) -> Result<Option<EventType>, DecodeError> {
    known(Attributes(headers).required("ce_type")?)
}

/// Reads a record of `users.events`. `Ok(None)`: a type that this build does not know, to be skipped and counted.
///
/// `value` is the record's value as parsed JSON; `key` the record's key; `headers` its headers as they stand.
///
/// # Errors
/// A [`DecodeError`] where the record is poison.
pub fn decode_user(
    key: &UserKey,
    headers: &[(&str, &[u8])],
    value: Value,
) -> Result<Option<UserRecord>, DecodeError> {
    let attributes = Attributes(headers);
    let ce_type = attributes.required("ce_type")?;
    let Upcast::Known(event_type, value) = upcast(ce_type, value)? else { return Ok(None) };
    check_owner(key, &attributes)?;
    let event = match event_type {
        EventType::UserCreated => UserEvent::Created(read(value)?),
        EventType::UserUpdated => UserEvent::Updated(read(value)?),
        EventType::UserDeleted => UserEvent::Deleted(read(value)?),
        EventType::CredentialIssued | EventType::CredentialStatusChanged => {
            return Err(DecodeError::Data("a credential fact does not belong here".to_owned()));
        }
    };
    let key_id = key_id(&attributes, &event)?;
    let sequence = attributes.required("ce_sequence")?;
    let sequence = sequence.parse().ok().filter(|n| (1..=i64::MAX as u64).contains(n));
    Ok(Some(UserRecord {
        id: attributes.required("ce_id")?.parse().map_err(|_| DecodeError::Header("ce_id"))?,
        key: key.clone(),
        sequence: sequence.ok_or(DecodeError::Header("ce_sequence"))?,
        time: attributes.required("ce_time")?.parse().map_err(|_| DecodeError::Header("ce_time"))?,
        key_id,
        request_id: attributes.optional("ce_requestid")?.map(str::to_owned),
        client_id: attributes.optional("ce_clientid")?.map(str::to_owned),
        // No fact depends on it, so a bad one is left out and poisons nothing.
        traceparent: attributes.optional("traceparent").ok().flatten().map(str::to_owned),
        event,
    }))
}

/// Reads a record of `users.credentials`; see [`decode_user`]. Issuing systems in any language write these, so only
/// the type is asked of the headers; `ce_tenantid` and `ce_subject` must be the key's where they are given, and
/// where `ce_time` is not, the record's own time is taken.
///
/// # Errors
/// A [`DecodeError`] where the record is poison.
pub fn decode_credential(
    key: &UserKey,
    headers: &[(&str, &[u8])],
    value: Value,
    record_time: Timestamp,
) -> Result<Option<CredentialRecord>, DecodeError> {
    let attributes = Attributes(headers);
    let ce_type = attributes.required("ce_type")?;
    let Upcast::Known(event_type, value) = upcast(ce_type, value)? else { return Ok(None) };
    check_owner(key, &attributes)?;
    let event = match event_type {
        EventType::CredentialIssued => CredentialEvent::Issued(Box::new(issued(value)?)),
        EventType::CredentialStatusChanged => CredentialEvent::StatusChanged(read(value)?),
        EventType::UserCreated | EventType::UserUpdated | EventType::UserDeleted => {
            return Err(DecodeError::Data("a user fact does not belong here".to_owned()));
        }
    };
    let time = match attributes.optional("ce_time")? {
        Some(time) => time.parse().map_err(|_| DecodeError::Header("ce_time"))?,
        None => record_time,
    };
    Ok(Some(CredentialRecord { key: key.clone(), time, event }))
}

/// A sealed part without the name of its key is nothing that anybody could ever read.
fn key_id(attributes: &Attributes<'_>, event: &UserEvent) -> Result<Option<Uuid>, DecodeError> {
    const NAME: &str = "ce_keyid";
    let key_id =
        attributes.optional(NAME)?.map(str::parse).transpose().map_err(|_| DecodeError::Header(NAME))?;
    if key_id.is_none() && event.is_sealed() { Err(DecodeError::Header(NAME)) } else { Ok(key_id) }
}

fn check_owner(key: &UserKey, attributes: &Attributes<'_>) -> Result<(), DecodeError> {
    let tenant = attributes.optional("ce_tenantid")?;
    if tenant.is_some_and(|tenant| tenant != key.tenant.as_str()) {
        return Err(DecodeError::HeaderMismatch("ce_tenantid"));
    }
    let subject = attributes.optional("ce_subject")?;
    if subject.is_some_and(|subject| subject.parse() != Ok(key.user)) {
        return Err(DecodeError::HeaderMismatch("ce_subject"));
    }
    Ok(())
}

/// Reads a credential's data and holds it to the shapes that the contract names.
pub(crate) fn issued(value: Value) -> Result<crate::credential::CredentialIssued, DecodeError> {
    let data: crate::credential::CredentialIssued = read(value)?;
    let credential = &data.credential;
    let times = [
        ("issuedDate", &credential.issued_date),
        ("validFrom", &credential.valid_from),
        ("validUntil", &credential.valid_until),
    ];
    for (name, time) in times {
        if time.as_deref().is_some_and(|time| OffsetDateTime::parse(time, &Rfc3339).is_err()) {
            return Err(DecodeError::Data(format!("{name} is not an RFC 3339 time")));
        }
    }
    if !matches!(credential.device_public_key, None | Some(Value::Object(_) | Value::String(_))) {
        return Err(DecodeError::Data("devicePublicKey is neither a JWK object nor a string".to_owned()));
    }
    if !matches!(credential.namespaces, None | Some(Value::Object(_) | Value::Array(_))) {
        return Err(DecodeError::Data("namespaces is neither an object nor an array".to_owned()));
    }
    Ok(data)
}

/// Data of a type; serde's own message is not passed on, since it may repeat what stood there.
fn read<T: DeserializeOwned>(value: Value) -> Result<T, DecodeError> {
    serde_json::from_value(value)
        .map_err(|_| DecodeError::Data("not the shape that the type asks for".to_owned()))
}

impl crate::credential::CredentialIssued {
    /// Reads the data of `credential.issued.v1` from JSON, with every check that the log's readers make.
    ///
    /// # Errors
    /// [`DecodeError::Data`] names the field.
    pub fn from_json(value: Value) -> Result<Self, DecodeError> {
        issued(value)
    }
}
