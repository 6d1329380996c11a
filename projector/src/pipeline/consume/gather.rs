//! A short wait for more records under load. A batch of thirty records costs hardly more than one
//! of ten, so fewer and larger batches make all writers faster. PostgreSQL's `commit_delay` has the
//! same purpose.

use super::EventQueue;
use std::time::Duration;

/// From this size of the last batch on, more records are worth a wait. With 16 writers or fewer,
/// batches are smaller, and a wait would make the writers slower.
const BUSY: usize = 12;
/// The number of queued records that are enough.
const ENOUGH: usize = 24;
/// If none arrives for this long, no more are waited for.
const PAUSE: Duration = Duration::from_millis(1);
/// How often it waits at most.
const MAX_PAUSES: usize = 8;

/// Waits until enough records are queued, or no more arrive. `last_batch` is the size of the last
/// batch.
pub(super) async fn gather(events: &EventQueue, last_batch: usize) {
    let mut wait = Wait::new(last_batch);
    while wait.goes_on(events.len()) {
        tokio::time::sleep(PAUSE).await;
    }
}

/// A wait for more records.
struct Wait {
    pauses_left: usize,
    /// How many records were queued before the last pause.
    queued: Option<usize>,
}

impl Wait {
    fn new(last_batch: usize) -> Self {
        Self { pauses_left: if last_batch < BUSY { 0 } else { MAX_PAUSES }, queued: None }
    }

    /// Whether to pause once more.
    fn goes_on(&mut self, queued: usize) -> bool {
        let has_grown = self.queued.replace(queued).is_none_or(|before| queued > before);
        let goes_on = has_grown && queued < ENOUGH && self.pauses_left > 0;
        self.pauses_left = self.pauses_left.saturating_sub(1);
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often it pauses while this many records are queued.
    fn pauses(last_batch: usize, queued: impl IntoIterator<Item = usize>) -> usize {
        let mut wait = Wait::new(last_batch);
        queued.into_iter().take_while(|queued| wait.goes_on(*queued)).count()
    }

    #[test]
    fn after_a_small_batch_it_never_waits() {
        assert_eq!(pauses(BUSY - 1, 0..), 0);
    }

    #[test]
    fn under_load_it_waits_until_no_more_arrive() {
        assert_eq!(pauses(BUSY, [3, 3]), 1);
        assert_eq!(pauses(BUSY, [3, 5, 9, 9]), 3);
    }

    #[test]
    fn it_waits_no_longer_than_needed() {
        assert_eq!(pauses(BUSY, [ENOUGH]), 0);
        assert_eq!(pauses(BUSY, [3, ENOUGH - 1, ENOUGH]), 2);
        assert_eq!(pauses(BUSY, 0..), MAX_PAUSES);
    }
}
