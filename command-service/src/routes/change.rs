//! Changes of an existing user: what update and delete have in common.

use super::{id_data, response::WriteResponse};
use crate::{
    problems,
    write::{Appended, Failure, Write, Writer, Written, resolve::DeferredOutcome},
};
use domain::{command::Command, precondition::Precondition};
use events_schema::UserKey;
use service_kit::{
    operation::{Call, Completed},
    problem::Problem,
};
use std::sync::Arc;
use uuid::Uuid;

/// A requested change.
pub(super) struct Change {
    pub(super) id: Uuid,
    pub(super) command: Command,
    pub(super) precondition: Option<Precondition>,
    pub(super) is_async: bool,
}

/// Executes the change. `accepted` makes the response once the event took effect.
pub(super) async fn change(
    writer: Arc<Writer>,
    call: Call,
    change: Change,
    accepted: fn(Appended) -> WriteResponse,
) -> Result<Completed<WriteResponse>, Problem> {
    let Change { id, command, precondition, is_async } = change;
    let key = UserKey { tenant: call.context.tenant.clone(), user: id };
    let write = Write { key, command, precondition, is_async };
    let response = match writer.write(&call, &write, None).await {
        Ok(Written::Accepted(appended)) => accepted(appended),
        Ok(Written::Pending(appended, lock)) => {
            writer.follow_up(&appended, lock, deferred_outcome(call, &write));
            WriteResponse::pending(&appended, is_async)
        }
        Err(Failure::Unconfirmed(event, problem)) => {
            writer.unconfirmed.add(*event, deferred_outcome(call, &write));
            WriteResponse::unconfirmed(problem)
        }
        Err(Failure::Refused { refusal, .. }) => return Err(problems::change_refused(refusal, id)),
        Err(Failure::Problem(problem)) => return Err(problem),
    };
    // SUCCESS is derived from the log.
    Ok(Completed { response, success: None })
}

/// For a change that is answered before its outcome is known.
fn deferred_outcome(call: Call, write: &Write) -> DeferredOutcome {
    let id = write.key.user;
    let superseded = match write.precondition {
        Some(_) => problems::precondition_failed(),
        None => problems::superseded(),
    };
    DeferredOutcome { call, about: id_data(id), superseded, deleted: problems::not_found(id) }
}
