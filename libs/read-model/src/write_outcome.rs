//! The outcome of a write.

use crate::RejectionReason;

/// The outcome of an event, once the projector has folded it.
///
/// An event that was appended is not accepted yet: the projector checks it against the user's state
/// when it folds it, and may find that it has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The event took effect, and every read shows it.
    Accepted,
    /// The event has no effect and never will.
    Rejected,
    /// The event waits behind an earlier, unreadable one of the same user. It may still take effect
    /// once an operator deals with that one.
    Parked,
}

impl From<RejectionReason> for WriteOutcome {
    fn from(reason: RejectionReason) -> Self {
        match reason {
            RejectionReason::Parked => Self::Parked,
            RejectionReason::Superseded | RejectionReason::Deleted | RejectionReason::Discarded => {
                Self::Rejected
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parked_events_are_not_rejected() {
        assert_eq!(WriteOutcome::from(RejectionReason::Deleted), WriteOutcome::Rejected);
        assert_eq!(WriteOutcome::from(RejectionReason::Parked), WriteOutcome::Parked);
    }
}
