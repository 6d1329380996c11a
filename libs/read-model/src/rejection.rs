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
}
