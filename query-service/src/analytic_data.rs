//! The data of the analytic events of reads: what was requested and how much was found, never
//! anything personal.

use serde_json::{Map, Value};
use service_kit::{analytics::Data, cursor::Cursor};
use uuid::Uuid;

/// The id of a user, under the name that it has in the path.
pub(crate) fn user_id(name: &'static str, id: Option<Uuid>) -> Data {
    non_sensitive([(name, id.map(|id| id.to_string().into()))])
}

/// Adds the requested page to the data of START. Invalid parts are left out.
pub(crate) fn add_page_request(start: &mut Data, limit: Option<u32>, cursor: Option<Cursor>) {
    let members = [
        ("limit", limit.map(Value::from)),
        // Encoded anew: a cursor may contain additional parts, which can hold any text.
        ("cursor", cursor.map(|cursor| cursor.encode().into())),
    ];
    start.non_sensitive.extend(present(members));
}

/// The data of SUCCESS for a page.
pub(crate) fn page_result(count: usize, next: Option<&str>) -> Data {
    non_sensitive([("entriesCount", Some(count.into())), ("nextCursor", next.map(Value::from))])
}

fn non_sensitive<const N: usize>(members: [(&str, Option<Value>); N]) -> Data {
    Data { non_sensitive: present(members), full: Map::new() }
}

/// The members that have a value.
pub(crate) fn present<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}
