//! A change of a user that should be there: what update and delete have in common.

use super::{about, answer::Answer};
use crate::{
    domain::{decide::Refusal, precondition::Precondition, user::Command},
    problems,
    write::{Appended, Failure, Write, Writer, Written},
};
use events_schema::UserKey;
use service_kit::{
    operation::{Call, Done},
    problem::Problem,
};
use std::sync::Arc;
use uuid::Uuid;

/// A change as a request asks for it.
pub(super) struct Change {
    pub(super) id: Uuid,
    pub(super) command: Command,
    pub(super) precondition: Option<Precondition>,
    pub(super) is_async: bool,
}

/// Makes the change; `accepted` words the answer once it has had its effect.
pub(super) async fn change(
    writer: Arc<Writer>,
    call: Call,
    change: Change,
    accepted: fn(Appended) -> Answer,
) -> Result<Done<Answer>, Problem> {
    let Change { id, command, precondition, is_async } = change;
    let key = UserKey { tenant: call.context.tenant.clone(), user: id };
    let write = Write { key, command, precondition, is_async };
    let response = match writer.write(&call, &write, None).await {
        Ok(Written::Accepted(appended)) => accepted(appended),
        Ok(Written::Pending(appended)) => {
            writer.visible.follow_up(appended.position, call, about(id), superseded(&write));
            Answer::pending(&appended, is_async)
        }
        Err(Failure::Refused { refusal, .. }) => return Err(problems::change(refusal, id)),
        Err(Failure::Problem(problem)) => return Err(problem),
    };
    // SUCCESS comes from the log.
    Ok(Done { response, success: None })
}

/// The end of a write that was answered before another turned out to have come first.
fn superseded(write: &Write) -> Problem {
    match write.precondition {
        Some(_) => problems::change(Refusal::PreconditionFailed, write.key.user),
        None => problems::outrun(),
    }
}
