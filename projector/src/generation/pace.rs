//! How fast a rebuild may fold: `ROLLCALL_REBUILD_RATE`. A slower one leaves more of the machine to
//! those who read and write.

use std::{
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A limit on the records per second, over all partitions.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// `None`: no limit.
    rate: Option<NonZeroU32>,
    /// When the records that were folded so far have taken their time.
    due: Mutex<Option<Instant>>,
}

impl Pace {
    pub(crate) fn new(rate: Option<NonZeroU32>) -> Self {
        Self { rate, due: Mutex::default() }
    }

    /// Waits until that many more records have taken their time.
    pub(crate) async fn keep(&self, records: u64) {
        if let Some(due) = self.due(records, Instant::now()) {
            tokio::time::sleep_until(due.into()).await;
        }
    }

    /// Time that was not used is not made up for.
    fn due(&self, records: u64, now: Instant) -> Option<Instant> {
        let time = Duration::from_secs_f64(records as f64 / f64::from(self.rate?.get()));
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let after = due.map_or(now, |due| due.max(now)) + time;
        *due = Some(after);
        Some(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_take_their_time_one_after_the_other() {
        let (pace, now) = (Pace::new(NonZeroU32::new(100)), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(pace.due(50, now), Some(now + second / 2));
        assert_eq!(pace.due(100, now), Some(now + second * 3 / 2), "two partitions share the rate");
        assert_eq!(pace.due(100, now + 9 * second), Some(now + 10 * second), "a pause is not made up for");
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        assert_eq!(Pace::default().due(u64::MAX, Instant::now()), None);
    }
}
