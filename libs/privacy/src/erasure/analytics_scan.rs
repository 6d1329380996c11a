//! Scans the analytics topic for events about a user, and for events with personal data.

use super::report::{AnalyticsScan, ReadPartition};
use crate::progress::{ScanProgress, Step};
use event_log::{
    log_ends::{self, Ends},
    replay::{Part, read as replay},
};
use events_schema::UserKey;
use rdkafka::Message as _;
use serde_json::Value;
use service_kit::{kafka::Topics, settings::Settings};
use std::collections::BTreeSet;

/// Members of an event's data without personal data: ids, numbers, fixed words, and the names of
/// what a search asked for.
const IMPERSONAL: [&str; 9] =
    ["id", "userId", "deleted", "limit", "cursor", "nextCursor", "entriesCount", "error", "claimKeys"];

/// An event about the user.
pub(crate) struct AboutUser {
    /// Its place in the topic.
    pub(crate) place: String,
    /// The event. `None` if it is no JSON.
    pub(crate) event: Option<Value>,
    /// Whether it contains more than ids.
    pub(crate) is_personal: bool,
}

/// The result of a scan.
#[derive(Default)]
pub(crate) struct Scan {
    /// The counts.
    pub(crate) counts: AnalyticsScan,
    /// The events about the user.
    pub(crate) about: Vec<AboutUser>,
    /// The requests of the events that name the user.
    requests: BTreeSet<String>,
}

/// Reads the whole topic for events that name the user or belong to one of these requests. It reads
/// again if an event that names the user belongs to another request, because the START of a create
/// does not name its user yet.
///
/// # Errors
/// Kafka fails.
pub(crate) async fn scan(
    settings: &Settings,
    user: &UserKey,
    mut requests: BTreeSet<String>,
    progress: &mut impl FnMut(ScanProgress),
) -> anyhow::Result<Scan> {
    loop {
        let mut found = Scan::default();
        let take = |place, value: Vec<u8>| found.take(place, &value, user, &requests);
        found.counts.partitions = read_all(settings, progress, take).await?;
        // A second reading can only assign events that are personal and name nobody.
        if found.requests.is_subset(&requests) || found.counts.of_nobody == 0 {
            return Ok(found);
        }
        requests.extend(found.requests);
    }
}

/// Passes every value in the topic to `each`, with its place. Aborted transactions are included.
///
/// # Errors
/// Kafka fails.
pub(super) async fn read_all(
    settings: &Settings,
    progress: &mut impl FnMut(ScanProgress),
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
        progress(ScanProgress { step: Step::Analytics, done, total });
    }
    let partition =
        |(partition, ends): (i32, Ends)| ReadPartition { partition, from: ends.low, to: ends.high };
    Ok(ends.into_iter().map(partition).collect())
}

impl Scan {
    fn take(&mut self, place: String, value: &[u8], user: &UserKey, requests: &BTreeSet<String>) {
        self.counts.events += 1;
        let event: Option<Value> = serde_json::from_slice(value).ok();
        let is_personal = event.as_ref().is_none_or(is_personal);
        let request = event.as_ref().and_then(|event| event["requestId"].as_str());
        let is_tenants = event.as_ref().is_none_or(|event| event["tenantId"] == user.tenant.as_str());
        let is_named = is_tenants && names(value, user);
        let is_requested = is_tenants && request.is_some_and(|request| requests.contains(request));
        if is_named {
            self.requests.extend(request.map(str::to_owned));
        }
        if is_named || is_requested {
            self.counts.of_user += 1;
            self.counts.personal += u64::from(is_personal);
            self.about.push(AboutUser { place, event, is_personal });
        } else if is_personal && !event.as_ref().is_some_and(names_anybody) {
            self.counts.of_nobody += 1;
        }
    }
}

/// Whether a value contains the user's id anywhere, in any letter case.
fn names(value: &[u8], user: &UserKey) -> bool {
    let id = user.user.to_string();
    value.windows(id.len()).any(|window| window.eq_ignore_ascii_case(id.as_bytes()))
}

/// The user of an event that contains more than ids.
pub(super) fn user_of_personal_event(value: &[u8]) -> Option<UserKey> {
    let event: Value = serde_json::from_slice(value).ok().filter(is_personal)?;
    let data = &event["data"];
    let id =
        data["id"].as_str().or_else(|| data["userId"].as_str()).or_else(|| data["user"]["id"].as_str())?;
    Some(UserKey { tenant: event["tenantId"].as_str()?.parse().ok()?, user: id.parse().ok()? })
}

fn names_anybody(event: &Value) -> bool {
    let data = &event["data"];
    data["id"].is_string() || data["userId"].is_string()
}

/// Whether an event contains more than ids.
fn is_personal(event: &Value) -> bool {
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

    fn scan(events: &[Value], requests: &[&str]) -> Scan {
        let user = format!("acme/{ID}").parse().unwrap();
        let requests = requests.iter().map(|request| (*request).to_owned()).collect();
        let mut scan = Scan::default();
        for event in events {
            scan.take(String::new(), event.to_string().as_bytes(), &user, &requests);
        }
        scan
    }

    fn event(tenant: &str, request: &str, data: Value) -> Value {
        json!({ "tenantId": tenant, "requestId": request, "data": data })
    }

    #[test]
    fn an_event_with_ids_only_is_not_personal() {
        let scan = scan(
            &[
                event("acme", "a", json!({ "id": ID })),
                event("acme", "b", json!({ "userId": ID.to_uppercase(), "limit": 3 })),
                event("acme", "c", Value::Null),
                event("other", "d", json!({ "id": ID, "claims": {} })),
                event("acme", "e", json!({ "id": ID, "user": { "id": ID } })),
            ],
            &[],
        );
        assert_eq!((scan.counts.events, scan.counts.of_user, scan.counts.personal), (5, 3, 1));
        assert_eq!(scan.counts.of_nobody, 0);
    }

    #[test]
    fn an_event_that_names_nobody_is_found_by_its_request() {
        let events = [
            event("acme", "a", json!({ "claims": {} })),
            event("acme", "a", json!({ "id": ID })),
            event("acme", "b", json!({ "claims": {} })),
        ];
        let first = scan(&events, &[]);
        assert_eq!((first.counts.of_user, first.counts.personal, first.counts.of_nobody), (1, 0, 2));
        let again = scan(&events, &["a"]);
        assert_eq!((again.counts.of_user, again.counts.personal, again.counts.of_nobody), (2, 1, 1));
    }
}
