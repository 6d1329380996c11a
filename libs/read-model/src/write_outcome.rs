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

impl WriteOutcome {
    /// The outcome for the reason that the read model records, or for none.
    pub(crate) fn from_rejection(reason: Option<&str>) -> Self {
        match reason {
            None => Self::Accepted,
            Some(reason) if reason == RejectionReason::Parked.as_str() => Self::Parked,
            Some(_) => Self::Rejected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parked_events_are_not_rejected() {
        assert_eq!(WriteOutcome::from_rejection(Some("deleted")), WriteOutcome::Rejected);
        assert_eq!(WriteOutcome::from_rejection(Some("parked")), WriteOutcome::Parked);
        assert_eq!(WriteOutcome::from_rejection(None), WriteOutcome::Accepted);
    }
}
