//! JSON responses, and pages assembled from stored bodies.

use crate::analytic_data;
use actix_web::{HttpResponse, HttpResponseBuilder, http::header};
use bytes::{BufMut as _, Bytes, BytesMut};
use read_model::read::page::Page;
use service_kit::{cursor::Cursor, operation::Completed};

/// The response to a page's request, with the data of its analytic event.
///
/// # Errors
/// An entry lacks a column.
pub(crate) fn page_response(page: &Page) -> sqlx::Result<Completed> {
    let bodies = page.entries.iter().map(|entry| entry.body()).collect::<sqlx::Result<Vec<_>>>()?;
    Ok(completed(&bodies, page.next))
}

fn completed(bodies: &[&str], next: Option<Cursor>) -> Completed {
    let next = next.map(|next| next.encode());
    let success = analytic_data::page_result(bodies.len(), next.as_deref());
    Completed { response: json_ok().body(page_json(bodies, next.as_deref())), success: Some(success) }
}

fn page_json(bodies: &[&str], next: Option<&str>) -> Bytes {
    let length: usize = bodies.iter().map(|body| body.len() + 1).sum();
    let mut json = BytesMut::with_capacity(length + 128);
    json.put_slice(br#"{"data":["#);
    for (index, body) in bodies.iter().enumerate() {
        if index > 0 {
            json.put_u8(b',');
        }
        json.put_slice(body.as_bytes());
    }
    json.put_u8(b']');
    if let Some(next) = next {
        // Base64url: it contains nothing that JSON would escape.
        json.put_slice(br#","nextCursor":""#);
        json.put_slice(next.as_bytes());
        json.put_u8(b'"');
    }
    json.put_u8(b'}');
    json.freeze()
}

/// A 200 with JSON that must not be stored.
pub(crate) fn json_ok() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, header::HeaderValue::from_static("application/json")))
        .insert_header((header::CACHE_CONTROL, header::HeaderValue::from_static("no-store")));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use time::OffsetDateTime;
    use uuid::Uuid;

    #[test]
    fn an_empty_page_is_data_alone() {
        assert_eq!(page_json(&[], None), &br#"{"data":[]}"#[..]);
    }

    #[test]
    fn a_cursor_names_the_last_entry_where_more_follow() {
        let last = Cursor { created_at: OffsetDateTime::UNIX_EPOCH, id: Uuid::from_u128(3) };
        let data = completed(&["{}"; 3], Some(last)).success.unwrap().non_sensitive;
        assert_eq!(data["entriesCount"], 3);
        assert_eq!(data["nextCursor"], last.encode());
        assert!(!completed(&["{}"; 3], None).success.unwrap().non_sensitive.contains_key("nextCursor"));
    }

    proptest! {
        #[test]
        fn a_page_is_its_bodies_in_order(texts in prop::collection::vec(".*", 0..20), next in prop::option::of("[A-Za-z0-9_-]+")) {
            let users: Vec<Value> = texts.iter().map(|text| json!({ "id": text, "claims": {} })).collect();
            let bodies: Vec<String> = users.iter().map(Value::to_string).collect();
            let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
            let mut expected = json!({ "data": users });
            if let Some(next) = &next {
                expected["nextCursor"] = json!(next);
            }
            let page: Value = serde_json::from_slice(&page_json(&bodies, next.as_deref())).unwrap();
            prop_assert_eq!(page, expected);
        }
    }
}
