//! Why an event of `users.events` had no effect, as stored in `rejections`.

/// The reason of a rejection. The names are stable: rows in the database hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionReason {
    /// Another event had that version first.
    Superseded,
    /// The user was deleted before.
    Deleted,
    /// An operator discarded it.
    Discarded,
    /// It is a dead letter.
    Parked,
}

impl RejectionReason {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Deleted => "deleted",
            Self::Discarded => "discarded",
            Self::Parked => "parked",
        }
    }

    /// The reason with this stored name. One that a later release stores is none that a writer can
    /// act on: the event lost.
    pub(crate) fn of_stored(name: &str) -> Self {
        let all = [Self::Deleted, Self::Discarded, Self::Parked];
        all.into_iter().find(|reason| reason.as_str() == name).unwrap_or(Self::Superseded)
    }
}
