//! Up to where each partition is handed over, so that an end behind the last record is noticed: control records and the records of aborted
//! transactions reach no consumer, but they have offsets.

use events_schema::Partition;
use std::collections::BTreeMap;

/// The offsets of the partitions that are assigned: the first one that nothing is said of yet.
#[derive(Debug, Default)]
pub(super) struct Reading(BTreeMap<Partition, i64>);

impl Reading {
    /// These partitions are read from these offsets, and no others.
    pub(super) fn assigned(&mut self, offsets: &BTreeMap<Partition, i64>) {
        self.0.clone_from(offsets);
    }

    /// Whether a partition is read.
    pub(super) fn has(&self, partition: Partition) -> bool {
        self.0.contains_key(&partition)
    }

    /// A record is handed over.
    pub(super) fn record(&mut self, partition: Partition, offset: i64) {
        if let Some(next) = self.0.get_mut(&partition) {
            *next = offset + 1;
        }
    }

    /// The client's position in a partition at its end. Whether it is past what was handed over; then that is handed over with this.
    pub(super) fn is_further(&mut self, partition: Partition, position: i64) -> bool {
        let Some(next) = self.0.get_mut(&partition).filter(|next| position > **next) else { return false };
        *next = position;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use events_schema::Topic;

    #[test]
    fn only_a_position_past_the_last_record_is_news() {
        let (ours, other) = ((Topic::Credentials, 3), (Topic::Users, 3));
        let mut reading = Reading::default();
        assert!(!reading.is_further(ours, 9), "of a partition that is not assigned nothing is known");
        reading.assigned(&[(ours, 10)].into());
        reading.record(ours, 10);
        reading.record(other, 70);
        assert!(!reading.is_further(ours, 11), "the record itself");
        assert!(reading.is_further(ours, 16), "five control records");
        assert!(!reading.is_further(ours, 16), "once");
        assert!(reading.has(ours) && !reading.has(other));
        reading.assigned(&[(ours, 4)].into());
        assert!(!reading.is_further(ours, 4));
    }
}
