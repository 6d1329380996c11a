//! What the analytic events of reads say: what was asked for and how much came, nothing of the person.

use serde_json::{Map, Value};
use service_kit::{analytics::Data, cursor::Cursor};
use uuid::Uuid;

/// The events of one user: its id under the name that the path gives it.
pub(crate) fn user(name: &'static str, id: Option<Uuid>) -> Data {
    non_sensitive([(name, id.map(|id| id.to_string().into()))])
}

/// What a START says of the page that is asked for; what did not validate is missing.
pub(crate) fn page(start: &mut Data, limit: Option<u32>, cursor: Option<Cursor>) {
    let asked = [
        ("limit", limit.map(Value::from)),
        // As it was understood: a cursor may carry further parts, and those are anybody's text.
        ("cursor", cursor.map(|cursor| cursor.encode().into())),
    ];
    start.non_sensitive.extend(given(asked));
}

/// What a SUCCESS says of the page that was given.
pub(crate) fn entries(count: usize, next: Option<&str>) -> Data {
    non_sensitive([("entriesCount", Some(count.into())), ("nextCursor", next.map(Value::from))])
}

fn non_sensitive<const N: usize>(members: [(&str, Option<Value>); N]) -> Data {
    Data { non_sensitive: given(members), full: Map::new() }
}

/// The members that are there.
pub(crate) fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}
