//! From a command and what is known of its user to one event, or to a refusal.

use super::{
    precondition::Precondition,
    user::{Change, Command, User},
};
use events_schema::personal::Personal;

/// One event to append.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decision {
    /// The user's version once the event is accepted.
    pub(crate) sequence: u64,
    /// What it says.
    pub(crate) change: Change,
}

/// Why nothing is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such user, or there is none any more.
    NotFound,
    /// The user to be created is there.
    Exists,
    /// The user to be created was there and is deleted.
    Deleted,
    /// Events of this user wait for the operator.
    Parked,
    /// The user has another version than the client thinks.
    PreconditionFailed,
}

/// Decides. The log may still decide otherwise, when another writer came first.
pub(crate) fn decide(
    command: &Command,
    user: &User,
    precondition: Option<&Precondition>,
) -> Result<Decision, Refusal> {
    match (command, user) {
        (_, User::Parked) => Err(Refusal::Parked),
        (Command::Create { created_at, personal }, User::Unknown) => {
            Ok(Decision { sequence: 1, change: Change::Created(*created_at, personal.clone()) })
        }
        (Command::Create { .. }, User::Present { .. }) => Err(Refusal::Exists),
        (Command::Create { .. }, User::Deleted) => Err(Refusal::Deleted),
        (Command::Update { .. } | Command::Delete, User::Unknown | User::Deleted) => Err(Refusal::NotFound),
        (Command::Update { .. } | Command::Delete, User::Present { version, .. })
            if precondition.is_some_and(|precondition| !precondition.allows(*version)) =>
        {
            Err(Refusal::PreconditionFailed)
        }
        (Command::Update { claims, link }, User::Present { version, link: present }) => {
            let authentication_provider = link.as_ref().or(present.as_ref()).cloned();
            let personal = Personal { claims: claims.clone(), authentication_provider };
            Ok(Decision { sequence: version + 1, change: Change::Updated(personal) })
        }
        (Command::Delete, User::Present { version, .. }) => {
            Ok(Decision { sequence: version + 1, change: Change::Deleted })
        }
    }
}

#[cfg(test)]
mod tests;
