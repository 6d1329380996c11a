//! Query strings: `limit` and `cursor`, refused if repeated, empty or malformed.

use crate::{
    cursor::Cursor,
    problem::{Location, Problem},
};
use actix_web::HttpRequest;

/// The default page size.
pub const DEFAULT_LIMIT: u32 = 100;
/// The largest page size.
pub const MAX_LIMIT: u32 = 1000;

/// The requested page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// 1..=1000
    pub limit: u32,
    /// Where the previous page ended.
    pub after: Option<Cursor>,
}

/// `limit` and `cursor` of the query string. Separate results, so that analytics can record the
/// valid one.
pub fn page_parts(request: &HttpRequest) -> (Result<u32, Problem>, Result<Option<Cursor>, Problem>) {
    let query = request.query_string();
    (single(query, "limit").and_then(limit), single(query, "cursor").and_then(cursor))
}

/// The single value of a parameter, if given.
fn single(query: &str, name: &str) -> Result<Option<String>, Problem> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some((_, value)), None) => Ok(Some(value.into_owned())),
        (Some((_, value)), Some(_)) => {
            Err(Problem::invalid(Some(&value), "Given more than once", name, Location::Query))
        }
    }
}

fn limit(text: Option<String>) -> Result<u32, Problem> {
    let Some(text) = text else { return Ok(DEFAULT_LIMIT) };
    // Digits only: `parse` would accept a sign.
    let plain = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let number = text.parse().ok().filter(|n| plain && (1..=MAX_LIMIT).contains(n));
    number.ok_or_else(|| Problem::invalid(Some(&text), "Invalid value", "limit", Location::Query))
}

fn cursor(text: Option<String>) -> Result<Option<Cursor>, Problem> {
    text.map(|text| Cursor::decode(&text, Location::Query)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn parts(query: &str) -> (Result<u32, Problem>, Result<Option<Cursor>, Problem>) {
        page_parts(&TestRequest::with_uri(&format!("/?{query}")).to_http_request())
    }

    #[test]
    fn a_limit_is_plain_digits() {
        for (query, limit) in
            [("", 100), ("limit=1", 1), ("limit=1000", 1000), ("other=0&limit=7", 7), ("limit=%31", 1)]
        {
            assert_eq!(parts(query).0.unwrap(), limit, "{query}");
        }
        for bad in [
            "0",
            "1001",
            "1.5",
            "1e2",
            "abc",
            "",
            "-1",
            "%2B1",
            "+1",
            "%EF%BC%91",
            "99999999999",
            "1&limit=1",
        ] {
            let problem = parts(&format!("limit={bad}")).0.unwrap_err();
            assert_eq!(
                (problem.details[0].param.as_str(), problem.details[0].location),
                ("limit", Location::Query)
            );
        }
        assert_eq!(parts("limit=1001").0.unwrap_err().details[0].value.as_deref(), Some("1001"));
    }

    #[test]
    fn a_cursor_is_given_once_and_not_empty() {
        assert_eq!(parts("").1.unwrap(), None);
        assert!(parts("cursor=").1.is_err());
        let sample = "cursor=Y3JlYXRlZEF0PTIwMjAtMDgtMjVUMDY6NDY6MDkuNTEwWiZpZD1h";
        assert!(parts(sample).1.unwrap().is_some());
        assert!(parts(&format!("{sample}&{sample}")).1.is_err());
    }
}
