//! A change of a user that should be there: what update and delete have in common.

use super::{about, answer::Answer};
use crate::{
    open_end::OpenEnd,
    problems,
    write::{Appended, Failure, Write, Writer, Written},
};
use domain::{command::Command, precondition::Precondition};
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
        Ok(Written::Pending(appended, turn)) => {
            writer.follow_up(&appended, turn, open_end(call, &write));
            Answer::pending(&appended, is_async)
        }
        Err(Failure::Uncertain(event, problem)) => {
            writer.inquiries.open(*event, open_end(call, &write));
            Answer::uncertain(problem)
        }
        Err(Failure::Refused { refusal, .. }) => return Err(problems::change(refusal, id)),
        Err(Failure::Problem(problem)) => return Err(problem),
    };
    // SUCCESS comes from the log.
    Ok(Done { response, success: None })
}

/// The end of a change that is answered before its fate is known.
fn open_end(call: Call, write: &Write) -> OpenEnd {
    let id = write.key.user;
    let superseded = match write.precondition {
        Some(_) => problems::precondition_failed(),
        None => problems::outrun(),
    };
    OpenEnd { call, about: about(id), superseded, deleted: problems::not_found(id) }
}
