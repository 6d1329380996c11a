//! The refusals of a write in the words of the API.

use crate::{append::AppendError, shown::LONGEST};
use domain::decide::Refusal;
use service_kit::problem::{Code, Detail, Location, Problem};
use uuid::Uuid;

/// Seconds after which a client may well try again.
const SOON: u64 = 1;

/// 400 about a header.
pub(crate) fn header(name: &'static str, msg: &'static str) -> Problem {
    Problem::invalid(None, msg, name, Location::Headers)
}

/// 413: the user as it would be printed.
pub(crate) fn too_long() -> Problem {
    Problem::new(Code::PayloadTooLarge, format!("The user is larger than {LONGEST} bytes as it is printed"))
}

/// 404
pub(crate) fn not_found(id: Uuid) -> Problem {
    Problem::new(Code::NotFound, "User not found").detail(Detail {
        value: Some(id.to_string()),
        msg: "Resource Not Found".to_owned(),
        param: "id".to_owned(),
        location: Location::Params,
    })
}

/// A refusal to change the user `id`.
pub(crate) fn change(refusal: Refusal, id: Uuid) -> Problem {
    match refusal {
        Refusal::NotFound | Refusal::Deleted => not_found(id),
        Refusal::PreconditionFailed => precondition_failed(),
        Refusal::Parked => parked(),
        // Only a create is refused so.
        Refusal::Exists => Problem::internal(),
    }
}

/// 412
pub(crate) fn precondition_failed() -> Problem {
    Problem::new(
        Code::PreconditionFailed,
        "The user's present version is not what If-Match or If-None-Match asks for: read it and decide again",
    )
}

/// 409: the operator must act first.
pub(crate) fn parked() -> Problem {
    Problem::new(
        Code::Conflict,
        "Events of this user wait for the operator, because one of them could not be read: nothing was written, and nothing can be \
         before that is settled",
    )
}

/// 409: the log never took our side.
pub(crate) fn outrun() -> Problem {
    Problem::new(
        Code::Conflict,
        "Other writes to this user came first each time: nothing was changed, send it again",
    )
    .header("Retry-After", SOON.to_string())
}

/// 409: the user of an `Idempotency-Key` is gone.
pub(crate) fn deleted_since() -> Problem {
    Problem::new(Code::Conflict, "The user that this Idempotency-Key made has been deleted: use a new key")
}

/// 422: the key stands for another user.
pub(crate) fn another_body() -> Problem {
    Problem::new(
        Code::UnprocessableEntity,
        "This Idempotency-Key came with another body before: use a new key",
    )
}

/// 503: the read model.
pub(crate) fn no_read_model() -> Problem {
    Problem::unavailable("The read model can't be reached: nothing was changed, send it again", SOON)
}

/// 503: what the read model says of the user may be older than what the log says.
pub(crate) fn catching_up() -> Problem {
    Problem::unavailable(
        "The read model is catching up with the log: nothing was changed, send it again",
        SOON,
    )
}

/// 409: the operator must act first.
pub(crate) fn key_is_missing() -> Problem {
    Problem::new(
        Code::Conflict,
        "This user's key is missing, so the operator must act first: nothing was written. The user can still be deleted",
    )
}

/// An event that was answered 202 and then found to be one of those that wait: only its end says so.
pub(crate) fn queued() -> Problem {
    Problem::new(
        Code::Conflict,
        "Events of this user wait for the operator: the write is in the log and may take effect when they are retried",
    )
}

/// 503: the log is not the one that was folded, and the event was not appended to it.
pub(crate) fn another_log() -> Problem {
    Problem::unavailable(
        "The log was replaced by another, so the operator must act first: nothing was written, send it again later",
        SOON,
    )
}

/// 503: the same, found out after the event was appended.
pub(crate) fn log_replaced_meanwhile() -> Problem {
    Problem::unavailable(
        "The log was replaced by another while the write was on its way: the operator must act, and the write may still take effect then. \
         Read the user before you repeat it; a repeat with the same Idempotency-Key, or with the version in If-Match, never takes effect \
         twice",
        SOON,
    )
}

/// 503: the log.
pub(crate) fn append(error: AppendError) -> Problem {
    let message = match error {
        AppendError::Full => {
            "Too many writes are on their way to the log: nothing was written, send it again"
        }
        AppendError::Away | AppendError::Refused => {
            "The log can't take the write: nothing was written, send it again"
        }
        AppendError::Unknown => {
            "The log did not confirm the write in time: it may still take effect. Read the user before you repeat it; a \
             repeat with the same Idempotency-Key, or with the version in If-Match, never takes effect twice"
        }
    };
    Problem::unavailable(message, SOON)
}
