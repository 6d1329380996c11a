//! Leases, under which readers trust the cache: when a commit may be sent although one may be
//! valid, and when one may be granted. Pure: times are arguments.

use std::time::{Duration, Instant};

/// How long a lease is valid. It counts from a time of the server.
pub const LEASE_DURATION: Duration = Duration::from_secs(2);

/// A Redis server's time, from one of its replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTime {
    /// The server's run id.
    pub run: String,
    /// Its clock, in milliseconds.
    pub millis: i64,
    /// When the reply arrived: at or after the server read its clock.
    pub at: Instant,
}

/// The leases of this process that may not have expired yet.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    /// The run id in them, and when the last of them has expired for certain.
    granted: Option<(String, Instant)>,
    /// When the leases of earlier owners have expired for certain.
    foreign_until: Option<Instant>,
}

impl Leases {
    /// Records that partitions were taken over from another owner.
    pub fn taken_over(&mut self, now: Instant) {
        self.foreign_until = Some(now + LEASE_DURATION);
    }

    /// When a batch may be committed. `invalidated_on` is the run id of the server that confirmed
    /// the invalidations, if one did.
    pub fn commit_from(&self, invalidated_on: Option<&str>, now: Instant) -> Instant {
        let own = match &self.granted {
            Some((run, until)) if invalidated_on != Some(run) => *until,
            Some(_) | None => now,
        };
        own.max(self.foreign_until.unwrap_or(now)).max(now)
    }

    /// Whether a lease on the server with this run id may be granted. False until the leases on
    /// another server have expired.
    pub fn may_grant(&self, run: &str, now: Instant) -> bool {
        self.granted.as_ref().is_none_or(|(granted, until)| granted == run || *until <= now)
    }

    /// Records that a lease was sent. It counts from `seen`.
    pub fn record(&mut self, seen: &ServerTime) {
        let until = seen.at + LEASE_DURATION;
        self.granted = Some(match self.granted.take() {
            Some((run, earlier)) if run == seen.run => (run, earlier.max(until)),
            Some(_) | None => (seen.run.clone(), until),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(run: &str, at: Instant) -> ServerTime {
        ServerTime { run: run.to_owned(), millis: 0, at }
    }

    #[test]
    fn a_commit_needs_invalidations_on_the_leased_server_or_waits() {
        let now = Instant::now();
        let mut leases = Leases::default();
        assert_eq!(leases.commit_from(None, now), now);
        leases.record(&seen("a", now));
        assert_eq!(leases.commit_from(Some("a"), now), now);
        assert_eq!(leases.commit_from(None, now), now + LEASE_DURATION);
        assert_eq!(leases.commit_from(Some("b"), now), now + LEASE_DURATION);
        assert_eq!(leases.commit_from(None, now + 2 * LEASE_DURATION), now + 2 * LEASE_DURATION);
    }

    #[test]
    fn another_server_waits_for_the_first_ones_leases() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.record(&seen("a", now));
        assert!(leases.may_grant("a", now) && !leases.may_grant("b", now));
        assert!(leases.may_grant("b", now + LEASE_DURATION));
    }

    #[test]
    fn an_older_time_does_not_shorten_what_was_granted() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.record(&seen("a", now + LEASE_DURATION));
        leases.record(&seen("a", now));
        assert_eq!(leases.commit_from(None, now), now + 2 * LEASE_DURATION);
    }

    #[test]
    fn a_takeover_waits_for_a_whole_lease_whatever_was_invalidated() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.taken_over(now);
        assert_eq!(leases.commit_from(Some("a"), now), now + LEASE_DURATION);
    }
}
