//! Open transactions of those who write to the log, as the running consumer sees them: what lies behind one is folded when it ends.

use events_schema::{Partition, Topic};
use service_kit::kafka::OpenTransaction;
use std::{collections::BTreeMap, time::Duration};
use time::OffsetDateTime;

/// A transaction that is open for so long is worth a line in the log.
const LONG: Duration = Duration::from_secs(10);

/// Those of the partitions that are ours; of each partition the first.
#[derive(Debug, Default)]
pub(crate) struct OpenTransactions(BTreeMap<Partition, Open>);

#[derive(Debug)]
struct Open {
    seen: OpenTransaction,
    is_told: bool,
}

impl OpenTransactions {
    /// The ends of a partition, from one answer of the broker: the last stable offset and the high watermark.
    pub(crate) fn saw(&mut self, partition: Partition, stable: i64, high: i64, now: OffsetDateTime) {
        let waiting = high - stable;
        if stable < 0 || waiting <= 0 {
            self.0.remove(&partition);
            return;
        }
        match self.0.get_mut(&partition).filter(|open| open.seen.offset == stable) {
            Some(open) => open.seen.waiting = waiting,
            None => {
                let seen = OpenTransaction { offset: stable, waiting, since: Some(now) };
                self.0.insert(partition, Open { seen, is_told: false });
            }
        }
    }

    /// Other partitions are ours now.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Of a partition: how many offsets wait, and for how many seconds the transaction has been seen open.
    pub(crate) fn waiting(&self, partition: Partition, now: OffsetDateTime) -> (i64, f64) {
        let Some(open) = self.0.get(&partition) else { return (0, 0.0) };
        (open.seen.waiting, age(open, now).as_seconds_f64().max(0.0))
    }

    /// Those that have been open for long and were not told of yet.
    pub(crate) fn newly_long(&mut self, now: OffsetDateTime) -> Vec<(Partition, OpenTransaction)> {
        let long = self.0.iter_mut().filter(|(_, open)| !open.is_told && age(open, now) >= LONG);
        long.map(|(partition, open)| {
            open.is_told = true;
            (*partition, open.seen.clone())
        })
        .collect()
    }

    /// All of them in words, if there are any.
    pub(crate) fn in_words(&self) -> Option<String> {
        let one = |((topic, partition), open): (&(Topic, i32), &Open)| {
            format!("{topic} partition {partition}: {}", open.seen)
        };
        let all: Vec<_> = self.0.iter().map(one).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

fn age(open: &Open, now: OffsetDateTime) -> time::Duration {
    open.seen.since.map_or(time::Duration::ZERO, |since| now - since)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
    const AT: Partition = (Topic::Credentials, 2);

    #[test]
    fn an_open_transaction_keeps_its_time_until_it_ends() {
        let mut open = OpenTransactions::default();
        open.saw(AT, 7, 7, NOW);
        assert_eq!((open.waiting(AT, NOW), open.in_words()), ((0, 0.0), None));
        open.saw(AT, 7, 9, NOW);
        open.saw(AT, 7, 12, NOW + Duration::from_secs(3));
        assert_eq!(open.waiting(AT, NOW + Duration::from_secs(5)), (5, 5.0));
        assert!(open.in_words().is_some_and(|words| words.starts_with("credentials partition 2: ")));
        open.saw(AT, 12, 13, NOW + Duration::from_secs(6));
        assert_eq!(open.waiting(AT, NOW + Duration::from_secs(6)), (1, 0.0), "another one");
        open.saw(AT, 14, 14, NOW + Duration::from_secs(7));
        assert_eq!(open.in_words(), None);
    }

    #[test]
    fn a_long_one_is_told_once() {
        let mut open = OpenTransactions::default();
        open.saw(AT, 7, 9, NOW);
        assert!(open.newly_long(NOW + LONG / 2).is_empty());
        assert_eq!(open.newly_long(NOW + LONG).len(), 1);
        assert!(open.newly_long(NOW + 2 * LONG).is_empty());
        open.saw(AT, 9, 10, NOW + 2 * LONG);
        assert_eq!(open.newly_long(NOW + 3 * LONG).len(), 1);
    }
}
