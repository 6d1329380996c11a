//! Why keys are unavailable, and which failures are worth a retry.

use service_kit::{
    database::pooler::{self, PoolerError},
    problem::Problem,
};

/// After how many seconds a client may retry.
const RETRY_AFTER: u64 = 1;

/// SQLSTATE of a foreign key violation.
const FOREIGN_KEY_VIOLATION: &str = "23503";

/// Why keys are unavailable. The texts contain no key and no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// An operator must act: the master key is lost, wrong, or accessible to others.
    #[error("{0}")]
    NeedsOperator(String),
    /// The key store, or the keeper of the master key, is temporarily unavailable.
    #[error("the key store can't be reached: {0}")]
    Unavailable(String),
    /// The key store's database does not answer.
    #[error("the key store can't be reached: no connection, or no answer in time")]
    NoAnswer,
}

impl From<sqlx::Error> for KeysError {
    fn from(error: sqlx::Error) -> Self {
        if pooler::is_pooler_error(&error) {
            return Self::NeedsOperator(format!("the key store: {PoolerError}"));
        }
        // The server's message might repeat a row.
        let code = error.as_database_error().and_then(|error| error.code());
        code.map_or(Self::NoAnswer, |code| Self::Unavailable(format!("SQLSTATE {code}")))
    }
}

impl From<KeysError> for Problem {
    fn from(error: KeysError) -> Self {
        tracing::warn!(%error, "keys are unavailable");
        Self::unavailable(
            "The key store can't be reached: nothing was changed, send the request again",
            RETRY_AFTER,
        )
    }
}

/// Retries once if the first attempt asks for an operator: a rotation may have ended between two of
/// its queries, so that what it read was wrapped under a master key that is gone.
pub(super) async fn retry_once<T, F: Future<Output = Result<T, KeysError>>>(
    ask: impl Fn() -> F,
) -> Result<T, KeysError> {
    match ask().await {
        Err(KeysError::NeedsOperator(_)) => ask().await,
        answer => answer,
    }
}

/// Whether a statement would have left a key without its master key: a rotation has just removed
/// the master key that a new key is wrapped under, or a key is still wrapped under the one to
/// remove.
pub(super) fn breaks_a_master_reference(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == FOREIGN_KEY_VIOLATION)
}
