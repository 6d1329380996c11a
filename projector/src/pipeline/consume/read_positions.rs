//! Up to where the records of each partition were sent to the pipeline. Behind the last record may
//! lie control records and aborted transactions: no consumer gets them, but they have offsets.

use events_schema::Partition;
use std::collections::BTreeMap;

/// The first offset that was not sent, of each assigned partition.
#[derive(Debug, Default)]
pub(super) struct ReadPositions(BTreeMap<Partition, i64>);

impl ReadPositions {
    /// Starts reading these partitions at these offsets, and no others.
    pub(super) fn start(&mut self, offsets: &BTreeMap<Partition, i64>) {
        self.0.clone_from(offsets);
    }

    /// Whether a partition is assigned.
    pub(super) fn has(&self, partition: Partition) -> bool {
        self.0.contains_key(&partition)
    }

    /// A record was sent.
    pub(super) fn sent(&mut self, partition: Partition, offset: i64) {
        if let Some(next) = self.0.get_mut(&partition) {
            *next = offset + 1;
        }
    }

    /// Moves a partition to the client's position at its end. Returns whether the position is
    /// behind what was sent.
    pub(super) fn advance(&mut self, partition: Partition, position: i64) -> bool {
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
    fn only_a_position_behind_the_last_record_is_reported() {
        let (ours, other) = ((Topic::Credentials, 3), (Topic::Users, 3));
        let mut positions = ReadPositions::default();
        assert!(!positions.advance(ours, 9), "the partition is not assigned");
        positions.start(&[(ours, 10)].into());
        positions.sent(ours, 10);
        positions.sent(other, 70);
        assert!(!positions.advance(ours, 11), "the record itself");
        assert!(positions.advance(ours, 16), "five control records");
        assert!(!positions.advance(ours, 16), "once");
        assert!(positions.has(ours) && !positions.has(other));
        positions.start(&[(ours, 4)].into());
        assert!(!positions.advance(ours, 4));
    }
}
