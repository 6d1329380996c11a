//! The form of the cache's values.

use bytes::Bytes;

/// The value for a user: the version of the last event, and the response body.
pub fn body(version: impl std::fmt::Display, body: &str) -> String {
    format!("{version}\n{body}")
}

/// An invalidation: a version without a body. Readers that find one ask PostgreSQL.
pub fn invalidation(version: impl std::fmt::Display) -> String {
    format!("{version}\n")
}

/// Version and body of a value. `None` for an invalidation.
pub fn parse_body(value: Vec<u8>) -> Option<(i64, Bytes)> {
    let end = value.iter().position(|byte| *byte == b'\n')?;
    let version = std::str::from_utf8(&value[..end]).ok()?.parse().ok()?;
    let body = Bytes::from(value).slice(end + 1..);
    (!body.is_empty()).then_some((version, body))
}

/// Whether the value is an invalidation. A value of an unknown form counts as a body.
pub fn is_invalidation(value: &[u8]) -> bool {
    value.strip_suffix(b"\n").is_some_and(|version| version.iter().all(u8::is_ascii_digit))
}

/// A lease on the server with that run id, for the bodies of that generation.
pub fn lease(run: &str, generation: i32) -> String {
    format!("{run}/{generation}")
}

/// The generation of a lease. `None` if it was granted on another server than the one with that run
/// id.
pub fn parse_lease(lease: &[u8], run: &str) -> Option<i32> {
    let generation = lease.strip_prefix(run.as_bytes())?.strip_prefix(b"/")?;
    std::str::from_utf8(generation).ok()?.parse().ok()
}

/// Up to where the cache holds a partition. `<nonce>.<revision>` is the cache version: a cache that
/// is rewritten from the start gets a new nonce, and the revision counts changes behind the
/// checkpoint.
pub fn next(generation: i32, nonce: &str, revision: i64, offset: i64) -> String {
    format!("{generation}/{nonce}.{revision}/{offset}")
}

/// Cache version (`<nonce>.<revision>`) and offset, if the value is of that generation.
pub fn parse_next(generation: i32, next: &str) -> Option<(&str, i64)> {
    let mut parts = next.splitn(3, '/');
    (parts.next()?.parse() == Ok(generation)).then_some(())?;
    Some((parts.next()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_only_on_its_own_server() {
        assert_eq!(parse_lease(lease("abc", 7).as_bytes(), "abc"), Some(7));
        for lease in [&b""[..], b"abc", b"abc/", b"abd/7", b"abcd/7", b"abc/x", b"ab/7", b"abc/7/7"] {
            assert_eq!(parse_lease(lease, "abc"), None);
        }
    }

    #[test]
    fn an_invalidation_is_no_user() {
        let text = r#"{"id":"a"}"#;
        assert_eq!(parse_body(body(3, text).into()), Some((3, Bytes::from(text))));
        for value in ["", "3", "3\n", "\n{}", "x\n{}"] {
            assert_eq!(parse_body(value.into()), None, "{value}");
        }
        assert!(
            is_invalidation(invalidation(3).as_bytes())
                && !is_invalidation(body(3, text).as_bytes())
                && !is_invalidation(b"3")
        );
    }

    #[test]
    fn a_position_is_of_its_generation() {
        assert_eq!(next(7, "ab", 2, 41), "7/ab.2/41");
        assert_eq!(parse_next(7, "7/ab.2/41"), Some(("ab.2", 41)));
        assert_eq!((parse_next(8, "7/ab.2/41"), parse_next(7, "7/ab")), (None, None));
    }
}
