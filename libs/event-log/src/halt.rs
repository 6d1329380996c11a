//! The error that pauses folding until an operator acts.

/// The log is not the one that was folded, and only an operator can put that right. The message
/// says how. It names `projection resume` last where nothing else ends the pause.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Halt(pub String);

/// The message for the operator, if `error` is a [`Halt`].
///
/// # Errors
/// `error`, if it is another error.
pub fn halted(error: anyhow::Error) -> anyhow::Result<String> {
    error.downcast::<Halt>().map(|halt| halt.0)
}
