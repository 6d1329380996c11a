//! What waits behind a record of a user that could not be folded.

use read_model::write::At;

/// A user's queue. Of one that waits for nothing but a key it is followed up which of the facts would have had their effect, so that the
/// user's deletion is known when it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The user's version if the key were there; `None`: it waits for something else.
    version: Option<u64>,
    /// The facts that would have had their effect.
    accepted: Vec<At>,
}

/// A queue that came to its end, since its user is deleted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The version that was deleted.
    pub(crate) version: u64,
    /// The facts that had their effect.
    pub(crate) accepted: Vec<At>,
}

impl Queue {
    /// An empty one of a user of that version.
    pub fn new(version: u64, is_for_key: bool) -> Self {
        Self { version: Some(version).filter(|_| is_for_key), accepted: Vec::new() }
    }

    /// A record comes into it. One that says no version is something else than a fact whose key is missing.
    pub fn push(&mut self, at: At, sequence: Option<u64>) {
        self.version = match (self.version, sequence) {
            (Some(version), Some(sequence)) if sequence == version + 1 => {
                self.accepted.push(at);
                Some(sequence)
            }
            // Another fact had that version first.
            (Some(version), Some(sequence)) if sequence <= version => Some(version),
            _ => None,
        };
    }

    /// The end, if a deletion of that sequence is what comes next.
    pub(crate) fn ended_by(&self, sequence: u64) -> Option<Ended> {
        let version = self.version.filter(|version| sequence == version + 1)?;
        Some(Ended { version, accepted: self.accepted.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(version: u64, sequences: &[Option<u64>]) -> Queue {
        let mut queue = Queue::new(version, true);
        for (n, sequence) in (0..).zip(sequences) {
            queue.push((0, n), *sequence);
        }
        queue
    }

    #[test]
    fn a_deletion_ends_what_waits_for_a_key() {
        let waiting = queue(0, &[Some(1), Some(2), Some(2)]);
        assert_eq!(waiting.ended_by(3), Some(Ended { version: 2, accepted: vec![(0, 0), (0, 1)] }));
        assert_eq!(
            (waiting.ended_by(2), waiting.ended_by(4)),
            (None, None),
            "it came late, or something is missing"
        );
    }

    #[test]
    fn it_does_not_end_what_waits_for_something_else() {
        assert_eq!(queue(3, &[Some(4), None]).ended_by(5), None, "a record that could not be read");
        assert_eq!(queue(3, &[Some(5)]).ended_by(4), None, "a gap");
        let mut poison = Queue::new(3, false);
        poison.push((0, 0), Some(4));
        assert_eq!(poison.ended_by(5), None);
    }
}
