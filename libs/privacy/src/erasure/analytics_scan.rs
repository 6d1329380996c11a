//! The analytics topic: what it says of a user, and whether that is more than ids.

use super::report::{AnalyticsLook, ReadPartition};
use crate::progress::{LookProgress, Step};
use event_log::{
    log_ends::{self, Ends},
    replay::{Part, read as replay},
};
use events_schema::UserKey;
use rdkafka::Message as _;
use serde_json::Value;
use service_kit::{kafka::Topics, settings::Settings};
use std::collections::BTreeSet;

/// Members of an event's data that say nothing of a person: ids, numbers, fixed words, and the names of what a search asked for.
const IMPERSONAL: [&str; 9] =
    ["id", "userId", "deleted", "limit", "cursor", "nextCursor", "entriesCount", "error", "claimKeys"];

/// An event about the user.
pub(crate) struct About {
    /// Where it lies.
    pub(crate) place: String,
    /// The event itself; `None`: it is no JSON.
    pub(crate) event: Option<Value>,
    /// Whether it says more than ids.
    pub(crate) is_saying_more: bool,
}

/// What was read.
#[derive(Default)]
pub(crate) struct Read {
    /// The counts.
    pub(crate) look: AnalyticsLook,
    /// The events about the user.
    pub(crate) about: Vec<About>,
    /// The requests of those that name the user.
    requests: BTreeSet<String>,
}

/// Reads the whole topic for events that name the user or belong to one of these requests, or to one that another event tells to be about
/// the user: the START of a create does not know the id yet.
///
/// # Errors
/// Kafka fails.
pub(crate) async fn read(
    settings: &Settings,
    user: &UserKey,
    mut requests: BTreeSet<String>,
    progress: &mut impl FnMut(LookProgress),
) -> anyhow::Result<Read> {
    loop {
        let read = read_once(settings, user, &requests, progress).await?;
        let is_known = read.requests.is_subset(&requests);
        // Only what says more and names nobody can turn out to be about the user when the topic is read again.
        if is_known || read.look.of_nobody == 0 {
            return Ok(read);
        }
        requests.extend(read.requests);
    }
}

async fn read_once(
    settings: &Settings,
    user: &UserKey,
    requests: &BTreeSet<String>,
    progress: &mut impl FnMut(LookProgress),
) -> anyhow::Result<Read> {
    let mut found = Read::default();
    let take = |place, value: Vec<u8>| found.take(place, &value, user, requests);
    found.look.partitions = read_all(settings, progress, take).await?;
    Ok(found)
}

/// Hands over every value in the topic with its place, what lies there of broken-off transactions included.
///
/// # Errors
/// Kafka fails.
pub(super) async fn read_all(
    settings: &Settings,
    progress: &mut impl FnMut(LookProgress),
    mut each: impl FnMut(String, Vec<u8>),
) -> anyhow::Result<Vec<ReadPartition>> {
    let name = Topics::new(&settings.topic_prefix).analytics;
    let ends = log_ends::topic_ends(settings, &name).await?;
    let ranges = ends.iter().map(|(partition, ends)| (*partition, ends.low..ends.high));
    let ranges = ranges.filter(|(_, range)| !range.is_empty()).collect();
    let total = ends.values().map(|ends| ends.high - ends.low).sum::<i64>().try_into()?;
    let part = Part { name, ranges, is_uncommitted_read: true, is_short_lived: true };
    let mut records = replay(settings, part, |message| {
        let place = format!("analytics:{}:{}", message.partition(), message.offset());
        (place, message.payload().unwrap_or_default().to_vec())
    })?;
    let mut done = 0;
    while let Some(record) = records.recv().await {
        let (place, value) = record?;
        each(place, value);
        done += 1;
        progress(LookProgress { step: Step::Analytics, done, total });
    }
    let partition =
        |(partition, ends): (i32, Ends)| ReadPartition { partition, from: ends.low, to: ends.high };
    Ok(ends.into_iter().map(partition).collect())
}

impl Read {
    fn take(&mut self, place: String, value: &[u8], user: &UserKey, requests: &BTreeSet<String>) {
        self.look.events += 1;
        let event: Option<Value> = serde_json::from_slice(value).ok();
        let is_saying_more = event.as_ref().is_none_or(says_more);
        let request = event.as_ref().and_then(|event| event["requestId"].as_str());
        let is_tenants = event.as_ref().is_none_or(|event| event["tenantId"] == user.tenant.as_str());
        let is_named = is_tenants && names(value, user);
        let is_requested = is_tenants && request.is_some_and(|request| requests.contains(request));
        if is_named {
            self.requests.extend(request.map(str::to_owned));
        }
        if is_named || is_requested {
            self.look.of_user += 1;
            self.look.saying_more += u64::from(is_saying_more);
            self.about.push(About { place, event, is_saying_more });
        } else if is_saying_more && !event.as_ref().is_some_and(names_anybody) {
            self.look.of_nobody += 1;
        }
    }
}

/// Whether the user's id stands anywhere in it, whatever its letter case.
fn names(value: &[u8], user: &UserKey) -> bool {
    let id = user.user.to_string();
    value.windows(id.len()).any(|window| window.eq_ignore_ascii_case(id.as_bytes()))
}

/// The user that an event of more than ids names.
pub(super) fn told_of(value: &[u8]) -> Option<UserKey> {
    let event: Value = serde_json::from_slice(value).ok().filter(says_more)?;
    let data = &event["data"];
    let id =
        data["id"].as_str().or_else(|| data["userId"].as_str()).or_else(|| data["user"]["id"].as_str())?;
    Some(UserKey { tenant: event["tenantId"].as_str()?.parse().ok()?, user: id.parse().ok()? })
}

fn names_anybody(event: &Value) -> bool {
    let data = &event["data"];
    data["id"].is_string() || data["userId"].is_string()
}

/// Whether an event says more than ids.
fn says_more(event: &Value) -> bool {
    match &event["data"] {
        Value::Null => false,
        Value::Object(data) => data.keys().any(|name| !IMPERSONAL.contains(&name.as_str())),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "0c3fad74-a8df-4a2d-8e75-f2d356b413ba";

    fn read(events: &[Value], requests: &[&str]) -> Read {
        let user = format!("acme/{ID}").parse().unwrap();
        let requests = requests.iter().map(|request| (*request).to_owned()).collect();
        let mut read = Read::default();
        for event in events {
            read.take(String::new(), event.to_string().as_bytes(), &user, &requests);
        }
        read
    }

    fn event(tenant: &str, request: &str, data: Value) -> Value {
        json!({ "tenantId": tenant, "requestId": request, "data": data })
    }

    #[test]
    fn ids_are_not_more_than_ids() {
        let look = read(
            &[
                event("acme", "a", json!({ "id": ID })),
                event("acme", "b", json!({ "userId": ID.to_uppercase(), "limit": 3 })),
                event("acme", "c", Value::Null),
                event("other", "d", json!({ "id": ID, "claims": {} })),
                event("acme", "e", json!({ "id": ID, "user": { "id": ID } })),
            ],
            &[],
        );
        assert_eq!((look.look.events, look.look.of_user, look.look.saying_more), (5, 3, 1));
        assert_eq!(look.look.of_nobody, 0);
    }

    #[test]
    fn what_names_nobody_is_told_by_its_request() {
        let events = [
            event("acme", "a", json!({ "claims": {} })),
            event("acme", "a", json!({ "id": ID })),
            event("acme", "b", json!({ "claims": {} })),
        ];
        let first = read(&events, &[]);
        assert_eq!((first.look.of_user, first.look.saying_more, first.look.of_nobody), (1, 0, 2));
        let again = read(&events, &["a"]);
        assert_eq!((again.look.of_user, again.look.saying_more, again.look.of_nobody), (2, 1, 1));
    }
}
