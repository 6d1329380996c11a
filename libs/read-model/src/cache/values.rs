//! The form of the cache's values.

use bytes::Bytes;
use events_schema::UserKey;
use std::fmt;

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

/// Up to where a cache holds its partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It holds what the users were at this offset. As text: `<offset>`.
    At(i64),
    /// It is at `from`, and a walk is on its way to `to`: over the users whose last record lies
    /// between the two, in the order of keys. It has come to `last`. As text:
    /// `<from>..<to>/<tenant>/<user>`.
    Walking {
        /// The first offset of the walk.
        from: i64,
        /// The first offset that is not part of it.
        to: i64,
        /// The last user that is written.
        last: UserKey,
    },
}

impl Progress {
    /// The offset that the cache is at. What came later may be missing.
    pub fn held(&self) -> i64 {
        match self {
            Self::At(offset) => *offset,
            Self::Walking { from, .. } => *from,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let Some((range, last)) = text.split_once('/') else { return Some(Self::At(text.parse().ok()?)) };
        let (from, to) = range.split_once("..")?;
        let (from, to) = (from.parse().ok()?, to.parse().ok()?);
        (from < to).then_some(Self::Walking { from, to, last: last.parse().ok()? })
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(offset) => write!(f, "{offset}"),
            Self::Walking { from, to, last } => write!(f, "{from}..{to}/{last}"),
        }
    }
}

/// Up to where the cache holds a partition. `<nonce>.<revision>` is the cache version: a cache that
/// is rewritten from the start gets a new nonce, and the revision counts changes behind the
/// checkpoint.
pub fn next(generation: i32, nonce: &str, revision: i64, progress: &Progress) -> String {
    format!("{generation}/{nonce}.{revision}/{progress}")
}

/// Cache version (`<nonce>.<revision>`) and progress, if the value is of that generation.
pub fn parse_next(generation: i32, next: &str) -> Option<(&str, Progress)> {
    let mut parts = next.splitn(3, '/');
    (parts.next()?.parse() == Ok(generation)).then_some(())?;
    Some((parts.next()?, Progress::parse(parts.next()?)?))
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
        let at = Progress::At(41);
        assert_eq!(next(7, "ab", 2, &at), "7/ab.2/41");
        assert_eq!(at.held(), 41);
        assert_eq!(parse_next(7, "7/ab.2/41"), Some(("ab.2", at)));
        assert_eq!((parse_next(8, "7/ab.2/41"), parse_next(7, "7/ab")), (None, None));
    }

    const USER: &str = "0c3fad74-a8df-4a2d-8e75-f2d356b413ba";

    #[test]
    fn a_walk_is_read_back_whatever_its_tenant_is_called() {
        for tenant in ["acme", "0..9", "..", "7", "-", "A.b_c-9"] {
            let last: UserKey = format!("{tenant}/{USER}").parse().unwrap();
            let walk = Progress::Walking { from: 0, to: 41, last };
            let text = next(7, "ab", 2, &walk);
            assert_eq!(text, format!("7/ab.2/0..41/{tenant}/{USER}"));
            assert_eq!(walk.held(), 0);
            assert_eq!(parse_next(7, &text), Some(("ab.2", walk)));
            assert_eq!(parse_next(8, &text), None);
        }
    }

    #[test]
    fn a_foreign_text_is_no_progress() {
        for foreign in [
            "",
            "x",
            "4.1",
            "0..41",
            "0..41/",
            "0..41/acme",
            "0..41/acme/",
            "0..41/acme/1",
            &format!("0..41/{USER}"),
            &format!("41/acme/{USER}"),
            &format!("0.41/acme/{USER}"),
            &format!("0..x/acme/{USER}"),
            &format!("..41/acme/{USER}"),
            &format!("41..41/acme/{USER}"),
            &format!("41..0/acme/{USER}"),
            &format!("0..41/a b/{USER}"),
            &format!("0..41/acme/{}", USER.to_uppercase()),
            &format!("0..41/acme/{USER}/1"),
        ] {
            assert_eq!(parse_next(7, &format!("7/ab.2/{foreign}")), None, "{foreign}");
        }
    }
}
