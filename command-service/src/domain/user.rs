//! What a decision must know of a user, and what it changes.

use events_schema::{
    Timestamp,
    personal::{AuthenticationProvider, Claims, Personal},
};

/// A user as the read model shows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum User {
    /// Never heard of.
    Unknown,
    /// There.
    Present {
        /// The sequence of its last accepted event.
        version: u64,
        /// Its link, which an update leaves as it is unless it brings another.
        link: Option<AuthenticationProvider>,
    },
    /// Deleted: for ever.
    Deleted,
    /// One of its events could not be folded, and whatever comes after it queues behind that one.
    Parked,
}

/// What a client wants of one user.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    /// Let there be this user.
    Create {
        /// Its place in the order of pages.
        created_at: Timestamp,
        /// Claims and link.
        personal: Personal,
    },
    /// Replace the claims, and the link where one is given.
    Update {
        /// The new claims, as a whole.
        claims: Claims,
        /// The new link, as a whole.
        link: Option<AuthenticationProvider>,
    },
    /// Forget the user.
    Delete,
}

/// What a decision puts into the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// The user comes into being.
    Created(Timestamp, Personal),
    /// The user's whole new state.
    Updated(Personal),
    /// The user goes.
    Deleted,
}

impl Change {
    /// What is known of the person afterwards.
    pub(crate) fn personal(&self) -> Option<&Personal> {
        match self {
            Self::Created(_, personal) | Self::Updated(personal) => Some(personal),
            Self::Deleted => None,
        }
    }
}
