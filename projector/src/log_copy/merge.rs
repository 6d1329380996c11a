//! Merging the records of a key that lie in two partitions.

/// Merges the records of both homes of a key by rank. The records of each home keep their order. If
/// ranks are equal, those of the first home come first, because they were folded. A record without
/// a rank stays behind its predecessor.
pub(super) fn merge<T>(first: Vec<T>, second: Vec<T>, rank: impl Fn(&T) -> Option<i64>) -> Vec<T> {
    let mut merged = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter().peekable(), second.into_iter().peekable());
    loop {
        let is_first = match (first.peek(), second.peek()) {
            (None, None) => return merged,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(a), Some(b)) => match (rank(a), rank(b)) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(a), Some(b)) => a <= b,
            },
        };
        merged.extend(if is_first { first.next() } else { second.next() });
    }
}

#[cfg(test)]
mod tests {
    use super::merge;

    /// Names begin with the home, and end with the rank.
    fn merged(first: &[&str], second: &[&str]) -> String {
        let rank = |name: &&str| name[1..].parse().ok();
        merge(first.to_vec(), second.to_vec(), rank).join(" ")
    }

    #[test]
    fn the_second_home_continues_where_the_first_ended() {
        assert_eq!(merged(&["a1", "a2"], &["b3", "b4"]), "a1 a2 b3 b4");
    }

    #[test]
    fn a_late_producer_is_put_between() {
        assert_eq!(merged(&["a1", "a3"], &["b2", "b4"]), "a1 b2 a3 b4");
    }

    #[test]
    fn of_two_events_for_one_version_the_folded_one_wins() {
        assert_eq!(merged(&["a1", "a2"], &["b2", "b3"]), "a1 a2 b2 b3");
    }

    #[test]
    fn superseded_events_keep_their_place() {
        assert_eq!(merged(&["a1", "a2", "a2", "a3"], &["b3"]), "a1 a2 a2 a3 b3");
        assert_eq!(merged(&["a1"], &["b3", "b2"]), "a1 b3 b2");
    }

    #[test]
    fn a_record_without_rank_stays_where_it_was() {
        assert_eq!(merged(&["a1", "a?", "a5"], &["b2", "b?"]), "a1 a? b2 b? a5");
    }
}
