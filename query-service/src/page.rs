//! A page: which one is asked for, and its answer put together from ready bodies.

use crate::{events, refusals::Refusals};
use actix_web::{HttpRequest, HttpResponse, http::header};
use bytes::{BufMut as _, Bytes, BytesMut};
use service_kit::{
    cursor::Cursor,
    operation::Done,
    query::{PageRequest, page_parts},
};

/// The page that a query string asks for, each part by itself.
pub(crate) struct Asked {
    pub(crate) limit: Option<u32>,
    pub(crate) after: Option<Option<Cursor>>,
}

impl Asked {
    /// Reads the query string.
    pub(crate) fn of(request: &HttpRequest, refusals: &mut Refusals) -> Self {
        let (limit, after) = page_parts(request);
        Self { limit: refusals.sift(limit), after: refusals.sift(after) }
    }

    /// The page, if both parts are good.
    pub(crate) fn page(&self) -> Option<PageRequest> {
        self.limit.zip(self.after).map(|(limit, after)| PageRequest { limit, after })
    }
}

/// A page of bodies on its way out.
pub(crate) struct Page {
    bodies: BytesMut,
    count: usize,
    last: Option<Cursor>,
    has_more: bool,
}

impl Page {
    /// An empty page with room for bodies of `bytes` in all.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let mut bodies = BytesMut::with_capacity(bytes + 128);
        bodies.put_slice(br#"{"data":["#);
        Self { bodies, count: 0, last: None, has_more: false }
    }

    /// Adds a body as it is; `at` is its place in the order.
    pub(crate) fn push(&mut self, body: &str, at: Cursor) {
        if self.count > 0 {
            self.bodies.put_u8(b',');
        }
        self.bodies.put_slice(body.as_bytes());
        self.count += 1;
        self.last = Some(at);
    }

    /// Says whether entries follow after the last one.
    pub(crate) fn set_more(&mut self, has_more: bool) {
        self.has_more = has_more;
    }

    /// The answer and its event.
    pub(crate) fn done(self) -> Done {
        let next = self.last.filter(|_| self.has_more).map(|last| last.encode());
        let success = events::entries(self.count, next.as_deref());
        Done { response: ok().body(self.finish(next.as_deref())), success: Some(success) }
    }

    fn finish(mut self, next: Option<&str>) -> Bytes {
        self.bodies.put_u8(b']');
        if let Some(next) = next {
            // Base64url: nothing in it that JSON would escape.
            self.bodies.put_slice(br#","nextCursor":""#);
            self.bodies.put_slice(next.as_bytes());
            self.bodies.put_u8(b'"');
        }
        self.bodies.put_u8(b'}');
        self.bodies.freeze()
    }
}

/// A 200 of JSON that nobody keeps.
pub(crate) fn ok() -> actix_web::HttpResponseBuilder {
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

    fn at(n: u128) -> Cursor {
        Cursor { created_at: OffsetDateTime::UNIX_EPOCH, id: Uuid::from_u128(n) }
    }

    fn printed(bodies: &[String], next: Option<&str>) -> Bytes {
        let mut page = Page::with_capacity(0);
        bodies.iter().zip(0..).for_each(|(body, n)| page.push(body, at(n)));
        page.finish(next)
    }

    #[test]
    fn an_empty_page_is_data_alone() {
        assert_eq!(printed(&[], None), &br#"{"data":[]}"#[..]);
    }

    #[test]
    fn a_cursor_names_the_last_entry_where_more_follow() {
        let mut page = Page::with_capacity(0);
        (1..=3).for_each(|n| page.push("{}", at(n)));
        page.set_more(true);
        let data = page.done().success.unwrap().non_sensitive;
        assert_eq!(data["entriesCount"], 3);
        assert_eq!(data["nextCursor"], at(3).encode());
    }

    proptest! {
        #[test]
        fn a_page_is_its_bodies_in_order(texts in prop::collection::vec(".*", 0..20), next in prop::option::of("[A-Za-z0-9_-]+")) {
            let users: Vec<Value> = texts.iter().map(|text| json!({ "id": text, "claims": {} })).collect();
            let bodies: Vec<String> = users.iter().map(Value::to_string).collect();
            let mut expected = json!({ "data": users });
            if let Some(next) = &next {
                expected["nextCursor"] = json!(next);
            }
            let page: Value = serde_json::from_slice(&printed(&bodies, next.as_deref())).unwrap();
            prop_assert_eq!(page, expected);
        }
    }
}
