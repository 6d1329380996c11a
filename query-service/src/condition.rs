//! `ETag` and `If-None-Match`: whether the client has this version already.

use actix_web::{
    HttpRequest,
    http::header::{HeaderValue, IF_NONE_MATCH},
};

/// The tag of a version: `"3"`.
pub(crate) fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// Whether `If-None-Match` names that tag, among others or as `*`. Compared weakly, as RFC 9110 has it for this header.
pub(crate) fn is_held(request: &HttpRequest, etag: &str) -> bool {
    request.headers().get_all(IF_NONE_MATCH).any(|value| names(value, etag))
}

fn names(value: &HeaderValue, etag: &str) -> bool {
    let tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
    tags.map(|tag| tag.strip_prefix("W/").unwrap_or(tag)).any(|tag| tag == "*" || tag == etag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn strong_weak_listed_or_any() {
        let held = |value: &str| {
            let request = TestRequest::get().insert_header((IF_NONE_MATCH, value)).to_http_request();
            is_held(&request, &etag(3))
        };
        for held_by in ["\"3\"", "W/\"3\"", "*", "\"1\", W/\"3\"", "\"1\",\"3\",\"5\""] {
            assert!(held(held_by), "{held_by}");
        }
        for not in ["", "3", "\"33\"", "w/\"3\"", "\"1\"", "W/3"] {
            assert!(!held(not), "{not}");
        }
    }
}
