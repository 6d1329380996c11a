//! All that is kept on one user: the right of access, and the counterpart of an erasure.

mod rows;

use crate::erasure::{
    Content, Place, Tombstone, connection, content, folded, read_analytics, read_log, tombstone,
};
use crate::progress::LookProgress;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::codec::owner;
use event_log::{
    cuts::{Cut, cuts_in_words},
    record::Record,
    record_owner::named_users,
};
use events_schema::{TenantId, Timestamp, Topic, UserKey, millis};
use key_store::{DataKey, Keys};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use service_kit::settings::Settings;
use std::collections::BTreeSet;
use time::OffsetDateTime;
use uuid::Uuid;

/// All that is kept on one user. It holds personal data.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Export {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Whose it is.
    pub user_id: Uuid,
    /// As of when.
    pub exported_at: Timestamp,
    /// Whether everything that is not erased could be read.
    pub complete: bool,
    /// Why not, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// Where the log does not begin at 0: what it held of the user before is not in the export.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<Cut>,
    /// The user as they are now; none where they are deleted, or their events wait for the operator.
    pub current: Option<Current>,
    /// What is kept of a deleted user.
    pub tombstone: Option<Tombstone>,
    /// The data key, if there is one: its id alone.
    pub key: Option<KeyId>,
    /// The records about the user in `users.events`, in their order.
    pub events: Vec<Event>,
    /// The user's credentials, as far as they are known.
    pub credentials: Vec<Credential>,
    /// The records about the user's credentials in `users.credentials`, in their order.
    pub credential_facts: Vec<CredentialFact>,
    /// Records of the user that could not be folded, and those that wait behind them.
    pub dead_letters: Vec<Letter>,
    /// Analytic events about the user, as far as their topic still has them.
    pub analytic_events: Vec<Analytic>,
}

/// A user as they are now.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Current {
    /// The version.
    pub version: i64,
    /// When the user was created.
    pub created_at: Timestamp,
    /// As the API shows it.
    pub user: Box<RawValue>,
}

/// A data key.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct KeyId {
    /// Its id.
    pub id: Uuid,
}

/// A record of `users.events`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Where it lies.
    #[serde(flatten)]
    pub place: Place,
    /// `ce_type`.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// `ce_time`.
    pub time: Option<String>,
    /// `ce_sequence`.
    pub sequence: Option<i64>,
    /// `ce_requestid`.
    pub request_id: Option<String>,
    /// `ce_clientid`.
    pub client_id: Option<String>,
    /// `ce_keyid`.
    pub key_id: Option<String>,
    /// Whether it had its effect; none: it is not folded yet.
    pub accepted: Option<bool>,
    /// Why it had none.
    pub reason: Option<String>,
    /// What it says of the person, where it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personal: Option<Value>,
    /// There, and true, where it says something of the person that nobody can read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<bool>,
    /// The whole value, where it is none that this build knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// A credential in the read model.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// Its id.
    pub id: Uuid,
    /// Its place in the list's order.
    pub created_at: Timestamp,
    /// The status that was last told.
    pub status: Option<String>,
    /// As the API shows it; none: only a status is known so far.
    pub credential: Option<Box<RawValue>>,
}

/// A record of `users.credentials`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialFact {
    /// The partition.
    pub partition: i32,
    /// The offset there.
    pub offset: i64,
    /// `ce_type`.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// `ce_time`, or Kafka's time of the record.
    pub time: Option<String>,
    /// What it says.
    pub value: Value,
}

/// A dead letter.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// `<topic>:<partition>:<offset>`
    pub id: String,
    /// Why it is one: the code.
    pub reason: String,
    /// The same in words.
    pub detail: String,
    /// Since when.
    pub parked_at: Timestamp,
    /// What the record says, as it came.
    pub value: Value,
}

/// An analytic event.
#[derive(Serialize)]
pub struct Analytic {
    /// Where it lies.
    pub place: String,
    /// The event.
    pub event: Value,
}

/// Gathers all that is kept on a user; `None`: nobody has ever heard of them.
///
/// # Errors
/// A place can't be read as a whole.
pub async fn export(
    settings: &Settings,
    user: &UserKey,
    mut progress: impl FnMut(LookProgress),
) -> anyhow::Result<Option<Export>> {
    let mut connection = connection(settings).await?;
    let folded = folded(&mut connection).await?;
    let key = Keys::open(settings)?.of(&owner(user)).await?;
    let (mut events, mut credential_facts) = (Vec::new(), Vec::new());
    let log = read_log(settings, &mut progress, |record| {
        if named_users(&record.raw).any(|named| named == *user) {
            match record.partition.0 {
                Topic::Users => events.push(event(record, key.as_deref())),
                Topic::Credentials => credential_facts.push(credential_fact(record)),
            }
        }
        Ok(())
    })
    .await?;
    events.sort_unstable_by_key(|event: &Event| event.place);
    credential_facts.sort_unstable_by_key(|fact: &CredentialFact| (fact.partition, fact.offset));
    rows::judge(&mut connection, &folded, &mut events).await?;
    let mut export = Export {
        tenant_id: user.tenant.clone(),
        user_id: user.user,
        exported_at: millis(OffsetDateTime::now_utc()),
        complete: true,
        incomplete: None,
        cuts: log.cuts,
        current: rows::current(&mut connection, user).await?,
        tombstone: tombstone(&mut connection, user).await?,
        key: key.map(|key| KeyId { id: key.id() }),
        events,
        credentials: rows::credentials(&mut connection, user).await?,
        credential_facts,
        dead_letters: rows::letters(&mut connection, user).await?,
        analytic_events: Vec::new(),
    };
    if !export.is_heard_of() {
        anyhow::ensure!(
            export.cuts.is_empty(),
            "nothing is known of the user {user}, but {}",
            cuts_in_words(&export.cuts)
        );
        return Ok(None);
    }
    export.incomplete = export.unread();
    export.complete = export.incomplete.is_none();
    export.analytic_events = analytic_events(settings, user, &export.events, &mut progress).await?;
    Ok(Some(export))
}

impl Export {
    /// What could not be read though nothing erased it, and why, in words.
    #[must_use]
    pub fn unread(&self) -> Option<String> {
        let unread = self.events.iter().filter(|event| event.sealed == Some(true)).count();
        let events = if unread == 1 { "1 event".to_owned() } else { format!("{unread} events") };
        let sealed = match self.key {
            // What is sealed for good is what the deletion was for.
            _ if unread == 0 || self.tombstone.is_some() => None,
            None => Some(format!("key missing: {events} could not be opened")),
            Some(KeyId { id }) => Some(format!("{events} could not be opened by the key {id}")),
        };
        let cut = (!self.cuts.is_empty()).then(|| cuts_in_words(&self.cuts));
        let reasons: Vec<_> = sealed.into_iter().chain(cut).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// A key alone is that of a create that never came to the log; what was asked about an id says nothing of a user either.
    fn is_heard_of(&self) -> bool {
        let is_in_log = !self.events.is_empty() || !self.credential_facts.is_empty();
        let is_in_tables = self.current.is_some() || self.tombstone.is_some();
        is_in_log || is_in_tables || !self.credentials.is_empty() || !self.dead_letters.is_empty()
    }
}

async fn analytic_events(
    settings: &Settings,
    user: &UserKey,
    events: &[Event],
    progress: &mut impl FnMut(LookProgress),
) -> anyhow::Result<Vec<Analytic>> {
    let requests: BTreeSet<String> = events.iter().filter_map(|event| event.request_id.clone()).collect();
    let read = read_analytics(settings, user, requests, progress).await?;
    let analytic = |about: crate::erasure::About| Analytic { place: about.place, event: about.event.into() };
    Ok(read.about.into_iter().map(analytic).collect())
}

fn event(record: &Record, key: Option<&DataKey>) -> Event {
    let text = |name| record.raw.header(name).map(str::to_owned);
    let value = || record.raw.value.as_deref().map(readable);
    let (mut personal, mut sealed, mut whole) = (None, None, None);
    match content(&record.raw) {
        Content::Nothing => {}
        Content::Sealed(part) => {
            personal = key.and_then(|key| part.opened(key));
            sealed = personal.is_none().then_some(true);
        }
        Content::Plain => personal = value().map(|value| value["personal"].clone()),
        Content::Unclear => whole = value(),
    }
    Event {
        place: Place { partition: record.partition.1, offset: record.offset },
        event_type: text("ce_type"),
        time: text("ce_time"),
        sequence: record.raw.header("ce_sequence").and_then(|sequence| sequence.parse().ok()),
        request_id: text("ce_requestid"),
        client_id: text("ce_clientid"),
        key_id: text("ce_keyid"),
        accepted: None,
        reason: None,
        personal,
        sealed,
        value: whole,
    }
}

fn credential_fact(record: &Record) -> CredentialFact {
    let text = |name| record.raw.header(name).map(str::to_owned);
    let (partition, offset) = (record.partition.1, record.offset);
    let time = text("ce_time").or_else(|| record.time.map(|time| time.to_string()));
    let value = record.raw.value.as_deref().map_or(Value::Null, readable);
    CredentialFact { partition, offset, event_type: text("ce_type"), time, value }
}

/// JSON where it is JSON, else text, else base64.
fn readable(bytes: &[u8]) -> Value {
    let text = || std::str::from_utf8(bytes).map(|text| json!({ "text": text }));
    serde_json::from_slice(bytes)
        .or_else(|_| text())
        .unwrap_or_else(|_| json!({ "base64": STANDARD.encode(bytes) }))
}
