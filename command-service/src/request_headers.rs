//! The request headers of a write, and the `ETag` of its response.

use crate::problems;
use actix_web::http::header::HeaderMap;
use domain::precondition::{Precondition, Tags};
use service_kit::{problem::Problem, validation::ValidationErrors};

/// `"<version>"`
pub(crate) fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// Parses `If-Match` and `If-None-Match`. A malformed header is refused: ignoring it could do what
/// the client has excluded.
pub(crate) fn precondition(headers: &HeaderMap) -> Result<Option<Precondition>, Problem> {
    let mut errors = ValidationErrors::default();
    let [if_match, if_none_match] =
        ["If-Match", "If-None-Match"].map(|name| errors.check(tags(headers, name)));
    let precondition = if_match.zip(if_none_match);
    let precondition = precondition.map(|(if_match, if_none_match)| Precondition { if_match, if_none_match });
    Ok(Some(errors.finish(precondition)?).filter(|given| *given != Precondition::default()))
}

fn tags(headers: &HeaderMap, name: &'static str) -> Result<Option<Tags>, Problem> {
    let refuse = || problems::invalid_header(name, "Must be * or a list of quoted entity tags");
    let values: Result<Vec<_>, _> = headers.get_all(name).map(|value| value.to_str()).collect();
    match values.map_err(|_| refuse())? {
        values if values.is_empty() => Ok(None),
        values => Tags::parse(&values.join(",")).map(Some).map_err(|_| refuse()),
    }
}

/// `Idempotency-Key`, if it is given: 1 to 255 visible ASCII characters.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    const NAME: &str = "Idempotency-Key";
    let mut values = headers.get_all(NAME);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(problems::invalid_header(NAME, "Given more than once"));
    }
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|c| c.is_ascii_graphic()));
    let refuse = || problems::invalid_header(NAME, "Must be 1 to 255 visible ASCII characters");
    key.map(|key| Some(key.to_owned())).ok_or_else(refuse)
}

/// Whether `Prefer` (RFC 7240) contains `respond-async`. Malformed and unknown preferences are
/// ignored.
pub(crate) fn prefers_async(headers: &HeaderMap) -> bool {
    let values = headers.get_all("Prefer").filter_map(|value| value.to_str().ok());
    values.map(unquoted).any(|value| {
        value.split(',').any(|preference| {
            let name = preference.split(';').next().unwrap_or_default();
            name.trim().eq_ignore_ascii_case("respond-async")
        })
    })
}

/// Removes quoted strings, in which a comma is no separator.
fn unquoted(value: &str) -> String {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let is_outside = |c: &char| {
        let was_quoted = is_quoted;
        is_quoted ^= *c == '"' && !is_escaped;
        is_escaped = was_quoted && *c == '\\' && !is_escaped;
        !was_quoted && !is_quoted
    };
    value.chars().filter(is_outside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let request = pairs.iter().fold(TestRequest::default(), |request, pair| request.append_header(*pair));
        request.to_http_request().headers().clone()
    }

    #[test]
    fn several_headers_of_a_name_are_one_list() {
        let read = |pairs: &[_]| precondition(&headers(pairs));
        let asked = read(&[("If-Match", "\"1\""), ("If-Match", "\"2\""), ("If-None-Match", "\"3\"")]);
        let asked = asked.unwrap().unwrap();
        assert!(asked.allows(2) && !asked.allows(3));
        assert_eq!(read(&[]).unwrap(), None);
        for name in ["If-Match", "If-None-Match"] {
            assert!(read(&[(name, "1")]).is_err() && read(&[(name, "*"), (name, "*")]).is_err());
        }
    }

    #[test]
    fn an_idempotency_key_is_visible_and_short() {
        let read = |key: &str| idempotency_key(&headers(&[("Idempotency-Key", key)]));
        assert_eq!(read("k-1").unwrap().as_deref(), Some("k-1"));
        assert!(read(&"x".repeat(255)).is_ok());
        for bad in ["", "a b", "ä", &"x".repeat(256)] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(idempotency_key(&headers(&[("Idempotency-Key", "a"), ("Idempotency-Key", "a")])).is_err());
    }

    #[test]
    fn a_preference_is_a_token_in_a_list() {
        for yes in [
            "respond-async",
            "Respond-Async",
            "wait=1, respond-async",
            "respond-async; x=1",
            "return=minimal,respond-async",
            r#"a="\"", respond-async"#,
        ] {
            assert!(prefers_async(&headers(&[("Prefer", yes)])), "{yes}");
        }
        for no in [
            "",
            "respond-asynchronously",
            "wait=respond-async",
            "return=minimal; respond-async",
            r#"a="b, respond-async, c""#,
            r#"a="\", respond-async"#,
        ] {
            assert!(!prefers_async(&headers(&[("Prefer", no)])), "{no}");
        }
    }
}
