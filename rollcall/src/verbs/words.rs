//! Numbers in words.

/// A number of things, in words.
pub(super) fn count(count: impl TryInto<u64>, what: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn singular_and_plural() {
        assert_eq!([0, 1, 2].map(|n| count(n, "key")), ["no key", "1 key", "2 keys"]);
    }
}
