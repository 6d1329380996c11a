//! A command and the user's current state give one event, or a refusal.

use crate::{
    command::{Command, NewEvent, User},
    precondition::Precondition,
};
use events_schema::personal::Personal;

/// The event to append.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The user's version once the event is accepted.
    pub sequence: u64,
    /// The event.
    pub event: NewEvent,
}

/// Why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The user does not exist, or was deleted.
    NotFound,
    /// The user to create exists already.
    Exists,
    /// The user to create was deleted.
    Deleted,
    /// Events of this user are dead letters and wait for an operator.
    Parked,
    /// The user's version does not match the precondition.
    PreconditionFailed,
}

/// Decides on a command.
///
/// The decision is not final: if another writer appends the same sequence first, that event wins.
///
/// # Errors
/// The refusal.
pub fn decide(
    command: &Command,
    user: &User,
    precondition: Option<&Precondition>,
) -> Result<Decision, Refusal> {
    match (command, user) {
        (_, User::Parked) => Err(Refusal::Parked),
        (Command::Create { created_at, personal }, User::Unknown) => {
            Ok(Decision { sequence: 1, event: NewEvent::Created(*created_at, personal.clone()) })
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
            Ok(Decision { sequence: version + 1, event: NewEvent::Updated(personal) })
        }
        (Command::Delete, User::Present { version, .. }) => {
            Ok(Decision { sequence: version + 1, event: NewEvent::Deleted })
        }
    }
}

#[cfg(test)]
mod tests;
