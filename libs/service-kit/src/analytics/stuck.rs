//! Whether the client is stuck: see `Contact` for how that comes. One that is merely without a broker is left alone, since it loses nothing when
//! the broker is back, and a new one would lose what the old one has sent without hearing of it.

use std::time::{Duration, Instant};

/// How long nothing may get through before a broker is looked for.
const STILL: Duration = Duration::from_secs(15);
/// Between two such looks.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long a broker answers others before a client that gets nothing through is stuck.
const ANSWERED: Duration = Duration::from_secs(15);

/// What is known of it.
#[derive(Default)]
pub(super) struct Stuck {
    asked: Option<Instant>,
    answered_since: Option<Instant>,
}

impl Stuck {
    /// Whether the client is stuck at `now`, if events have waited since `still_since` and none got through. `answers` asks whether a broker
    /// answers a client that was just made.
    pub(super) fn is(&mut self, now: Instant, still_since: Instant, answers: impl FnOnce() -> bool) -> bool {
        if now.saturating_duration_since(still_since) < STILL {
            *self = Self::default();
            return false;
        }
        if self.asked.is_some_and(|asked| now.saturating_duration_since(asked) < ASK_EVERY) {
            return false;
        }
        self.asked = Some(now);
        self.answered_since = answers().then(|| self.answered_since.unwrap_or(now));
        self.answered_since.is_some_and(|since| now.saturating_duration_since(since) >= ANSWERED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks once a second; gives the second at which it is stuck, if it is within ten minutes.
    fn stuck_at(is_still: impl Fn(u64) -> bool, answers: impl Fn(u64) -> bool) -> Option<u64> {
        let (began, mut stuck) = (Instant::now(), Stuck::default());
        let mut still_since = began;
        (0..600).find(|second| {
            let now = began + Duration::from_secs(*second);
            if !is_still(*second) {
                still_since = now;
            }
            stuck.is(now, still_since, || answers(*second))
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
