//! The input and the output of a decision about a user.

use events_schema::{
    Timestamp,
    personal::{AuthenticationProvider, Claims, Personal},
};

/// A user as the read model shows it.
#[derive(Debug, Clone, PartialEq)]
pub enum User {
    /// No such user was ever recorded.
    Unknown,
    /// The user exists.
    Present {
        /// The sequence of the last accepted event.
        version: u64,
        /// The link to the identity provider. An update without a link keeps it.
        link: Option<AuthenticationProvider>,
    },
    /// The user was deleted. Deletion is final.
    Deleted,
    /// One of the user's events is a dead letter. All later events queue behind it.
    Parked,
}

/// What a client asks for one user.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Creates the user.
    Create {
        /// The time of creation, by which pages are ordered.
        created_at: Timestamp,
        /// Claims and link.
        personal: Personal,
    },
    /// Replaces the claims, and the link if one is given.
    Update {
        /// All claims.
        claims: Claims,
        /// The link, as a whole.
        link: Option<AuthenticationProvider>,
    },
    /// Deletes the user.
    Delete,
}

/// An event to append. Its personal data is not sealed yet.
#[derive(Debug, Clone, PartialEq)]
pub enum NewEvent {
    /// The user was created.
    Created(Timestamp, Personal),
    /// Claims and link were replaced.
    Updated(Personal),
    /// The user was deleted.
    Deleted,
}

impl NewEvent {
    /// The user's personal data after this event.
    pub fn personal(&self) -> Option<&Personal> {
        match self {
            Self::Created(_, personal) | Self::Updated(personal) => Some(personal),
            Self::Deleted => None,
        }
    }
}
