//! The queue of a parked user: the event that could not be folded, and all later ones.

use read_model::write::PartitionOffset;

/// The queue of a parked user. If it waits only for a missing data key, it tracks which events
/// would have had their effect, so that the user's deletion is recognized when it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedQueue {
    /// The version that the user would have if the key were there. `None` if the queue waits for
    /// something else.
    version: Option<u64>,
    /// The events that would have had their effect.
    accepted: Vec<PartitionOffset>,
}

/// A queue that ended with the deletion of its user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EndedQueue {
    /// The version before the deletion.
    pub(crate) version: u64,
    /// The events that had their effect.
    pub(crate) accepted: Vec<PartitionOffset>,
}

impl ParkedQueue {
    /// An empty queue of a user with this version.
    pub fn new(version: u64, is_for_key: bool) -> Self {
        Self { version: Some(version).filter(|_| is_for_key), accepted: Vec::new() }
    }

    /// Adds a record. One without a sequence is no event whose key is missing, so the queue waits
    /// for something else.
    pub fn push(&mut self, at: PartitionOffset, sequence: Option<u64>) {
        self.version = match (self.version, sequence) {
            (Some(version), Some(sequence)) if sequence == version + 1 => {
                self.accepted.push(at);
                Some(sequence)
            }
            // Superseded: another event had that version first.
            (Some(version), Some(sequence)) if sequence <= version => Some(version),
            _ => None,
        };
    }

    /// How the queue ends if a deletion with this sequence comes next. `None` if it does not end.
    pub(crate) fn ended_by(&self, sequence: u64) -> Option<EndedQueue> {
        let version = self.version.filter(|version| sequence == version + 1)?;
        Some(EndedQueue { version, accepted: self.accepted.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(version: u64, sequences: &[Option<u64>]) -> ParkedQueue {
        let mut queue = ParkedQueue::new(version, true);
        for (n, sequence) in (0..).zip(sequences) {
            queue.push((0, n), *sequence);
        }
        queue
    }

    #[test]
    fn a_deletion_ends_what_waits_for_a_key() {
        let waiting = queue(0, &[Some(1), Some(2), Some(2)]);
        assert_eq!(waiting.ended_by(3), Some(EndedQueue { version: 2, accepted: vec![(0, 0), (0, 1)] }));
        assert_eq!(
            (waiting.ended_by(2), waiting.ended_by(4)),
            (None, None),
            "the deletion is superseded, or an event is missing"
        );
    }

    #[test]
    fn it_does_not_end_what_waits_for_something_else() {
        assert_eq!(queue(3, &[Some(4), None]).ended_by(5), None, "a record that could not be read");
        assert_eq!(queue(3, &[Some(5)]).ended_by(4), None, "a gap");
        let mut poison = ParkedQueue::new(3, false);
        poison.push((0, 0), Some(4));
        assert_eq!(poison.ended_by(5), None);
    }
}
