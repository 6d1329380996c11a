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
        count => format!("{count} {}", plural(what)),
    }
}

fn plural(what: &str) -> String {
    match what.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::{count, number};

    #[test]
    fn singular_and_plural() {
        assert_eq!([0, 1, 2].map(|n| count(n, "key")), ["no key", "1 key", "2 keys"]);
        assert_eq!([0, 1, 2].map(|n| number(n, "key")), ["0 keys", "1 key", "2 keys"]);
        assert_eq!([0, 1, 2].map(|n| number(n, "try")), ["0 tries", "1 try", "2 tries"]);
    }
}
