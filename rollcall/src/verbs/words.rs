//! Numbers in words.

/// A number of things in a sentence: "no key", "1 key", "2 keys".
pub(super) fn count(count: impl TryInto<u64>, what: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        0 => format!("no {what}"),
        count => number(count, what),
    }
}

/// A number of things in a report: "0 keys", "1 key", "2 keys".
pub(super) fn number(count: impl TryInto<u64>, what: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::{count, number};

    #[test]
    fn singular_and_plural() {
        assert_eq!([0, 1, 2].map(|n| count(n, "key")), ["no key", "1 key", "2 keys"]);
        assert_eq!([0, 1, 2].map(|n| number(n, "key")), ["0 keys", "1 key", "2 keys"]);
    }
}
