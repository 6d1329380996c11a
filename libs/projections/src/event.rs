//! What a projection folds.

use events_schema::{Timestamp, UserKey, personal::Personal};

/// An accepted event of a user: it had its effect on the user, in every replay.
///
/// The events of one user come in the order of their sequence, each exactly once. Events of
/// different users come in any order.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The user, with the tenant.
    pub user: UserKey,
    /// The version that the event has given its user, counted from 1.
    pub sequence: u64,
    /// When the event was made.
    pub time: Timestamp,
    /// What happened.
    pub kind: Kind,
}

/// What happened to a user.
///
/// Personal data is `None` once the user was deleted: a replay gets the events of an erased user
/// sealed. So only tables that are declared [personal](crate::Table::personal) may depend on it.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// The user was created.
    Created {
        /// The creation time, which is the order of pages. An import may set it.
        created_at: Timestamp,
        /// Claims and link.
        personal: Option<Personal>,
    },
    /// Claims and link were replaced.
    Updated {
        /// All claims, and the link.
        personal: Option<Personal>,
    },
    /// The user was deleted. Nothing comes after it.
    Deleted,
}

impl Event {
    /// The personal data, if the event has some and the user was not erased.
    #[must_use]
    pub fn personal(&self) -> Option<&Personal> {
        match &self.kind {
            Kind::Created { personal, .. } | Kind::Updated { personal } => personal.as_ref(),
            Kind::Deleted => None,
        }
    }

    /// Takes the personal data out, as a replay after the user's deletion gets the event.
    pub fn erase(&mut self) {
        match &mut self.kind {
            Kind::Created { personal, .. } | Kind::Updated { personal } => *personal = None,
            Kind::Deleted => {}
        }
    }
}
