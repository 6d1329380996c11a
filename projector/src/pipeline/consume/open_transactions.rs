//! Open transactions of the log's producers, as the consumer sees them. Records behind an open
//! transaction are folded when it ends.

use events_schema::{Partition, Topic};
use service_kit::kafka::OpenTransaction;
use std::{collections::BTreeMap, time::Duration};
use time::OffsetDateTime;

/// How long a transaction may be open before a warning is logged.
const LONG: Duration = Duration::from_secs(10);

/// The first open transaction of each assigned partition.
#[derive(Debug, Default)]
pub(crate) struct OpenTransactions(BTreeMap<Partition, Open>);

#[derive(Debug)]
struct Open {
    transaction: OpenTransaction,
    is_reported: bool,
}

impl OpenTransactions {
    /// Takes the ends of a partition from one answer of the broker: the last stable offset and the
    /// high watermark.
    pub(crate) fn update(&mut self, partition: Partition, stable: i64, high: i64, now: OffsetDateTime) {
        let waiting = high - stable;
        if stable < 0 || waiting <= 0 {
            self.0.remove(&partition);
            return;
        }
        match self.0.get_mut(&partition).filter(|open| open.transaction.offset == stable) {
            Some(open) => open.transaction.waiting = waiting,
            None => {
                let transaction = OpenTransaction { offset: stable, waiting, since: Some(now) };
                self.0.insert(partition, Open { transaction, is_reported: false });
            }
        }
    }

    /// Forgets all: other partitions are assigned.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// How many offsets of a partition wait, and for how many seconds the transaction has been seen
    /// open.
    pub(crate) fn waiting(&self, partition: Partition, now: OffsetDateTime) -> (i64, f64) {
        let Some(open) = self.0.get(&partition) else { return (0, 0.0) };
        (open.transaction.waiting, age(open, now).as_seconds_f64().max(0.0))
    }

    /// Transactions that have been open for long and were not returned before.
    pub(crate) fn newly_long(&mut self, now: OffsetDateTime) -> Vec<(Partition, OpenTransaction)> {
        let long = self.0.iter_mut().filter(|(_, open)| !open.is_reported && age(open, now) >= LONG);
        long.map(|(partition, open)| {
            open.is_reported = true;
            (*partition, open.transaction.clone())
        })
        .collect()
    }

    /// A description of all of them, if there are any.
    pub(crate) fn describe(&self) -> Option<String> {
        let one = |((topic, partition), open): (&(Topic, i32), &Open)| {
            format!("{topic} partition {partition}: {}", open.transaction)
        };
        let all: Vec<_> = self.0.iter().map(one).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

fn age(open: &Open, now: OffsetDateTime) -> time::Duration {
    open.transaction.since.map_or(time::Duration::ZERO, |since| now - since)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
    const AT: Partition = (Topic::Credentials, 2);

    #[test]
    fn an_open_transaction_keeps_its_time_until_it_ends() {
        let mut open = OpenTransactions::default();
        open.update(AT, 7, 7, NOW);
        assert_eq!((open.waiting(AT, NOW), open.describe()), ((0, 0.0), None));
        open.update(AT, 7, 9, NOW);
        open.update(AT, 7, 12, NOW + Duration::from_secs(3));
        assert_eq!(open.waiting(AT, NOW + Duration::from_secs(5)), (5, 5.0));
        assert!(open.describe().is_some_and(|text| text.starts_with("credentials partition 2: ")));
        open.update(AT, 12, 13, NOW + Duration::from_secs(6));
        assert_eq!(open.waiting(AT, NOW + Duration::from_secs(6)), (1, 0.0), "another one");
        open.update(AT, 14, 14, NOW + Duration::from_secs(7));
        assert_eq!(open.describe(), None);
    }

    #[test]
    fn a_long_one_is_reported_once() {
        let mut open = OpenTransactions::default();
        open.update(AT, 7, 9, NOW);
        assert!(open.newly_long(NOW + LONG / 2).is_empty());
        assert_eq!(open.newly_long(NOW + LONG).len(), 1);
        assert!(open.newly_long(NOW + 2 * LONG).is_empty());
        open.update(AT, 9, 10, NOW + 2 * LONG);
        assert_eq!(open.newly_long(NOW + 3 * LONG).len(), 1);
    }
}
