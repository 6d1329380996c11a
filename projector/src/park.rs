//! The limit on parking: a bad deploy must not empty the log into dead letters.

use std::time::{Duration, Instant};

/// Users that may be parked in a span, at most.
const LIMIT: usize = 100;
/// The span.
const SPAN: Duration = Duration::from_secs(600);

/// Counts the users that were parked lately.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    since: Option<Instant>,
    count: usize,
}

impl Parked {
    /// Whether so many more may be parked; counts them if so.
    pub(crate) fn admit(&mut self, more: usize, now: Instant) -> bool {
        if more == 0 {
            return true;
        }
        if self.since.is_none_or(|since| now.duration_since(since) > SPAN) {
            *self = Self { since: Some(now), count: 0 };
        }
        let is_admitted = self.count + more <= LIMIT;
        self.count += if is_admitted { more } else { 0 };
        is_admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_counts_for_nothing() {
        let (mut parked, now) = (Parked::default(), Instant::now());
        assert!(!parked.admit(LIMIT + 1, now));
        assert!(parked.admit(LIMIT, now));
    }

    #[test]
    fn too_many_in_a_short_span_are_refused() {
        let (mut parked, now) = (Parked::default(), Instant::now());
        assert!(parked.admit(LIMIT, now) && parked.admit(0, now));
        assert!(!parked.admit(1, now));
        assert!(parked.admit(1, now + 2 * SPAN));
    }
}
