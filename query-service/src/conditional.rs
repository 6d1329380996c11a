//! Conditional requests: `ETag`, `If-None-Match` and `If-Match` (RFC 9110).

use actix_web::{
    HttpRequest,
    http::header::{HeaderValue, IF_MATCH, IF_NONE_MATCH},
};

/// The entity tag of a version: `"3"`.
pub(crate) fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// Whether `If-None-Match` lists the tag or is `*`. The comparison is weak, as RFC 9110 requires
/// for this header.
pub(crate) fn is_not_modified(request: &HttpRequest, etag: &str) -> bool {
    request.headers().get_all(IF_NONE_MATCH).any(|value| lists(value, etag))
}

/// Whether `If-Match` is given and neither lists the tag nor is `*`. The comparison is strong: a
/// weak tag never matches.
pub(crate) fn fails_if_match(request: &HttpRequest, etag: &str) -> bool {
    let mut values = request.headers().get_all(IF_MATCH).peekable();
    let names = |value: &HeaderValue| {
        let mut tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
        tags.any(|tag| tag == "*" || tag == etag)
    };
    values.peek().is_some() && !values.any(names)
}

fn lists(value: &HeaderValue, etag: &str) -> bool {
    let tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
    tags.map(|tag| tag.strip_prefix("W/").unwrap_or(tag)).any(|tag| tag == "*" || tag == etag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn if_match_excludes_every_version_that_it_does_not_name() {
        let excluded = |value: &str| {
            let request = TestRequest::get().insert_header((IF_MATCH, value)).to_http_request();
            fails_if_match(&request, &etag(3))
        };
        assert!(!excluded("\"3\"") && !excluded("*") && !excluded("\"1\", \"3\""));
        assert!(excluded("\"4\"") && excluded("W/\"3\"") && excluded("3"));
        assert!(!fails_if_match(&TestRequest::get().to_http_request(), &etag(3)));
    }

    #[test]
    fn strong_weak_listed_or_any() {
        let held = |value: &str| {
            let request = TestRequest::get().insert_header((IF_NONE_MATCH, value)).to_http_request();
            is_not_modified(&request, &etag(3))
        };
        for held_by in ["\"3\"", "W/\"3\"", "*", "\"1\", W/\"3\"", "\"1\",\"3\",\"5\""] {
            assert!(held(held_by), "{held_by}");
        }
        for not in ["", "3", "\"33\"", "w/\"3\"", "\"1\"", "W/3"] {
            assert!(!held(not), "{not}");
        }
    }
}
