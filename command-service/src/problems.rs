//! The problems that a write can return.

use crate::{log::AppendError, representation::MAX_BYTES};
use domain::decide::Refusal;
use service_kit::problem::{Code, Detail, Location, Problem};
use uuid::Uuid;

/// Seconds after which a client may retry.
const RETRY_AFTER: u64 = 1;

/// 400 about a header.
pub(crate) fn invalid_header(name: &'static str, msg: &'static str) -> Problem {
    Problem::invalid(None, msg, name, Location::Headers)
}

/// 413: the user's representation.
pub(crate) fn representation_too_large() -> Problem {
    Problem::new(Code::PayloadTooLarge, format!("The user's representation is larger than {MAX_BYTES} bytes"))
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

/// The problem for a refused change of the user `id`.
pub(crate) fn change_refused(refusal: Refusal, id: Uuid) -> Problem {
    match refusal {
        Refusal::NotFound | Refusal::Deleted => not_found(id),
        Refusal::PreconditionFailed => precondition_failed(),
        Refusal::Parked => parked(),
        // A change is never refused for this reason.
        Refusal::Exists => Problem::internal(),
    }
}

/// 412
pub(crate) fn precondition_failed() -> Problem {
    Problem::new(
        Code::PreconditionFailed,
        "The user's current version does not match If-Match or If-None-Match: read the user and try again",
    )
}

/// 409: an operator must act first.
pub(crate) fn parked() -> Problem {
    Problem::new(
        Code::Conflict,
        "Events of this user wait for an operator, because one of them could not be read: nothing was written, and no \
         write is possible until that is resolved",
    )
}

/// 409: other writers' events came first each time.
pub(crate) fn superseded() -> Problem {
    Problem::new(
        Code::Conflict,
        "Other writes to this user came first each time: nothing was changed, send the request again",
    )
    .header("Retry-After", RETRY_AFTER.to_string())
}

/// 409: the user of an `Idempotency-Key` was deleted.
pub(crate) fn deleted_since() -> Problem {
    Problem::new(Code::Conflict, "The user created with this Idempotency-Key has been deleted: use a new key")
}

/// 422: the key was used with another body.
pub(crate) fn idempotency_key_reused() -> Problem {
    Problem::new(
        Code::UnprocessableEntity,
        "This Idempotency-Key was used with another body before: use a new key",
    )
}

/// 503: the read model is unavailable.
pub(crate) fn read_model_unavailable() -> Problem {
    Problem::unavailable(
        "The read model can't be reached: nothing was changed, send the request again",
        RETRY_AFTER,
    )
}

/// 503: the read model may lag behind the log.
pub(crate) fn catching_up() -> Problem {
    Problem::unavailable(
        "The read model is catching up with the log: nothing was changed, send the request again",
        RETRY_AFTER,
    )
}

/// 409: an operator must act first.
pub(crate) fn key_is_missing() -> Problem {
    Problem::new(
        Code::Conflict,
        "This user's key is missing, so an operator must act first: nothing was written. The user can still be deleted",
    )
}

/// An event that was answered 202 and then queued behind a dead letter. Only recorded, never sent.
pub(crate) fn queued_behind_dead_letter() -> Problem {
    Problem::new(
        Code::Conflict,
        "Events of this user wait for an operator: the write is in the log and may take effect when they are retried",
    )
}

/// 503: the log was replaced, and the event was not appended.
pub(crate) fn log_replaced() -> Problem {
    Problem::unavailable(
        "The log was replaced by another, so an operator must act first: nothing was written, send the request again later",
        RETRY_AFTER,
    )
}

/// 503: the log was replaced, and the event had been appended by then.
pub(crate) fn log_replaced_meanwhile() -> Problem {
    Problem::unavailable(
        "The log was replaced by another while the write was in progress: an operator must act, and the write may still take effect then. \
         Read the user before you repeat it; a repeat with the same Idempotency-Key, or with the version in If-Match, never takes effect \
         twice",
        RETRY_AFTER,
    )
}

/// 503: an append failed.
pub(crate) fn append_failed(error: AppendError) -> Problem {
    let message = match error {
        AppendError::Full => {
            "Too many writes are waiting for the log: nothing was written, send the request again"
        }
        AppendError::Unavailable | AppendError::Refused => {
            "The log can't accept the write: nothing was written, send the request again"
        }
        AppendError::Unknown => {
            "The log did not confirm the write in time: it may still take effect. Read the user before you repeat it; a \
             repeat with the same Idempotency-Key, or with the version in If-Match, never takes effect twice"
        }
    };
    Problem::unavailable(message, RETRY_AFTER)
}
