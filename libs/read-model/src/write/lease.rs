//! When a commit may be sent while readers may trust the cache, and when a lease may be granted.
//! Pure: times are arguments.

use std::time::{Duration, Instant};

/// How long a lease is valid after the server's time that it counts from.
pub const LENGTH: Duration = Duration::from_secs(2);

/// A Redis server's time, from one of its replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTime {
    /// The server's run id.
    pub run: String,
    /// Its clock, in milliseconds.
    pub millis: i64,
    /// When the reply arrived, which is not before the server's time.
    pub at: Instant,
}

/// The leases of this process that may not have expired yet.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    /// The run id that they name, and when the last of them has certainly expired.
    granted: Option<(String, Instant)>,
    /// When leases of earlier owners have certainly expired.
    foreign_until: Option<Instant>,
}

impl Leases {
    /// Records that partitions were taken over from another owner.
    pub fn taken_over(&mut self, now: Instant) {
        self.foreign_until = Some(now + LENGTH);
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

    /// Whether a lease for this run id may be granted: not until leases for another have expired.
    pub fn may_grant(&self, run: &str, now: Instant) -> bool {
        self.granted.as_ref().is_none_or(|(granted, until)| granted == run || *until <= now)
    }

    /// Records that a lease was sent that counts from `seen`.
    pub fn record(&mut self, seen: &ServerTime) {
        let until = seen.at + LENGTH;
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
    fn marks_on_the_leased_server_or_waiting_out() {
        let now = Instant::now();
        let mut leases = Leases::default();
        assert_eq!(leases.commit_from(None, now), now);
        leases.record(&seen("a", now));
        assert_eq!(leases.commit_from(Some("a"), now), now);
        assert_eq!(leases.commit_from(None, now), now + LENGTH);
        assert_eq!(leases.commit_from(Some("b"), now), now + LENGTH);
        assert_eq!(leases.commit_from(None, now + 2 * LENGTH), now + 2 * LENGTH);
    }

    #[test]
    fn another_server_waits_for_the_first_ones_leases() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.record(&seen("a", now));
        assert!(leases.may_grant("a", now) && !leases.may_grant("b", now));
        assert!(leases.may_grant("b", now + LENGTH));
    }

    #[test]
    fn an_older_time_does_not_shorten_what_was_granted() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.record(&seen("a", now + LENGTH));
        leases.record(&seen("a", now));
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
