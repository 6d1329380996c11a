//! When a commit may be sent although readers trust the cache, and when a lease may be granted. Pure: times come in.

use std::time::{Duration, Instant};

/// How long a lease lives after the time from which it counts.
pub const LENGTH: Duration = Duration::from_secs(2);

/// A point in time on a Redis server's clock, from one of its replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The run of the server that said it.
    pub run: String,
    /// Its clock, in milliseconds.
    pub millis: i64,
    /// When the reply was here, so not before the server's own time.
    pub at: Instant,
}

/// The leases that this process has granted and that may still live.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    /// The run that they name, and when the last of them has run out for certain.
    living: Option<(String, Instant)>,
    /// Leases of earlier owners may live until then.
    foreign_until: Option<Instant>,
}

impl Leases {
    /// Partitions were taken over from another owner.
    pub fn taken_over(&mut self, now: Instant) {
        self.foreign_until = Some(now + LENGTH);
    }

    /// From when a batch may be committed whose marks were placed on the server with that run (`None`: they were not).
    pub fn commit_from(&self, marked_on: Option<&str>, now: Instant) -> Instant {
        let own = match &self.living {
            Some((run, until)) if marked_on != Some(run) => *until,
            Some(_) | None => now,
        };
        own.max(self.foreign_until.unwrap_or(now)).max(now)
    }

    /// Whether a lease that names this run may be granted: not while one lives that names another.
    pub fn may_grant(&self, run: &str, now: Instant) -> bool {
        self.living.as_ref().is_none_or(|(living, until)| living == run || *until <= now)
    }

    /// A lease was sent that counts from `seen`.
    pub fn granted(&mut self, seen: &Seen) {
        let until = seen.at + LENGTH;
        self.living = Some(match self.living.take() {
            Some((run, living)) if run == seen.run => (run, living.max(until)),
            Some(_) | None => (seen.run.clone(), until),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(run: &str, at: Instant) -> Seen {
        Seen { run: run.to_owned(), millis: 0, at }
    }

    #[test]
    fn marks_on_the_leased_server_or_waiting_out() {
        let now = Instant::now();
        let mut leases = Leases::default();
        assert_eq!(leases.commit_from(None, now), now);
        leases.granted(&seen("a", now));
        assert_eq!(leases.commit_from(Some("a"), now), now);
        assert_eq!(leases.commit_from(None, now), now + LENGTH);
        assert_eq!(leases.commit_from(Some("b"), now), now + LENGTH);
        assert_eq!(leases.commit_from(None, now + 2 * LENGTH), now + 2 * LENGTH);
    }

    #[test]
    fn another_server_waits_for_the_first_ones_leases() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.granted(&seen("a", now));
        assert!(leases.may_grant("a", now) && !leases.may_grant("b", now));
        assert!(leases.may_grant("b", now + LENGTH));
    }

    #[test]
    fn an_older_time_does_not_shorten_what_was_granted() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.granted(&seen("a", now + LENGTH));
        leases.granted(&seen("a", now));
        assert_eq!(leases.commit_from(None, now), now + 2 * LENGTH);
    }

    #[test]
    fn a_takeover_waits_a_whole_length_whatever_was_marked() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.taken_over(now);
        assert_eq!(leases.commit_from(Some("a"), now), now + LENGTH);
    }
}
