//! Decides whether the client is stuck (`Contact` explains how that happens). A client that merely
//! has no broker is left alone: it loses nothing once a broker is back, whereas replacing it would
//! lose events that it has sent but not yet heard about.

use std::time::{Duration, Instant};

/// How long delivery may stall before a broker is probed.
const STALLED_AFTER: Duration = Duration::from_secs(15);
/// The interval between probes.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// How long a broker must answer other clients before this one counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(15);

/// Detects a stuck client.
#[derive(Default)]
pub(super) struct StallDetector {
    probed: Option<Instant>,
    answered_since: Option<Instant>,
}

impl StallDetector {
    /// Whether the client is stuck at `now`, given that events have been waiting since
    /// `stalled_since` without progress. `answers` tells whether a broker answers a new client.
    pub(super) fn is_stuck(
        &mut self,
        now: Instant,
        stalled_since: Instant,
        answers: impl FnOnce() -> bool,
    ) -> bool {
        if now.saturating_duration_since(stalled_since) < STALLED_AFTER {
            *self = Self::default();
            return false;
        }
        if self.probed.is_some_and(|probed| now.saturating_duration_since(probed) < PROBE_EVERY) {
            return false;
        }
        self.probed = Some(now);
        self.answered_since = answers().then(|| self.answered_since.unwrap_or(now));
        self.answered_since.is_some_and(|since| now.saturating_duration_since(since) >= STUCK_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks once a second. Returns the second at which the client counts as stuck, within ten
    /// minutes.
    fn stuck_at(is_still: impl Fn(u64) -> bool, answers: impl Fn(u64) -> bool) -> Option<u64> {
        let (began, mut detector) = (Instant::now(), StallDetector::default());
        let mut still_since = began;
        (0..600).find(|second| {
            let now = began + Duration::from_secs(*second);
            if !is_still(*second) {
                still_since = now;
            }
            detector.is_stuck(now, still_since, || answers(*second))
        })
    }

    #[test]
    fn a_client_without_a_broker_is_left_alone() {
        assert_eq!(stuck_at(|_| true, |_| false), None);
    }

    #[test]
    fn a_client_whose_broker_answers_others_is_stuck() {
        assert_eq!(stuck_at(|_| true, |_| true), Some(30));
        assert_eq!(stuck_at(|_| true, |second| second > 100), Some(120));
    }

    #[test]
    fn a_broker_that_comes_back_is_given_time() {
        assert_eq!(stuck_at(|second| second < 110, |second| second > 100), None);
        assert_eq!(stuck_at(|_| true, |second| second > 100 && second < 110), None);
    }
}
