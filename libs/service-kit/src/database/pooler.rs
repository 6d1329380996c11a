//! A connection pooler, such as PgBouncer, where PostgreSQL itself is needed.
//!
//! Every connection of ours is a session: it is read-only or has a role of its own, waits no longer
//! than its time-outs, keeps prepared statements, and listens. A pooler that lends a server's session
//! to each transaction (PgBouncer's `pool_mode=transaction`) would give all of that to strangers, and
//! PgBouncer drops what we ask for at the start of a session in every mode.

use sqlx::PgPool;

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the URL leads to a connection pooler (such as PgBouncer), which does not keep our sessions apart. Connect to \
     PostgreSQL directly. A pooler will do only in session mode and if it passes startup options on to the server, \
     which PgBouncer does in no mode"
)]
pub struct PoolerError;

/// PostgreSQL's word for a startup packet that it does not take.
const PROTOCOL_VIOLATION: &str = "08P01";
/// A prepared statement that is not there, and one that is there already: we name our own, once a session.
const FOREIGN_STATEMENTS: [&str; 2] = ["26000", "42P05"];

/// Whether an error is one that only a pooler gives.
#[must_use]
pub fn is_pooler_error(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    match error.code().as_deref() {
        Some(PROTOCOL_VIOLATION) => error.message().contains("startup parameter"),
        Some(code) => FOREIGN_STATEMENTS.contains(&code),
        None => false,
    }
}

/// Refuses a pooler that took our sessions' settings and has dropped them.
///
/// # Errors
/// It has, or the database can't be asked.
pub async fn check(pool: &PgPool) -> anyhow::Result<()> {
    let is_kept = "SELECT current_setting('statement_timeout') <> '0'";
    match sqlx::query_scalar::<_, bool>(is_kept).fetch_one(pool).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(PoolerError.into()),
        Err(error) if is_pooler_error(&error) => Err(PoolerError.into()),
        Err(error) => Err(error.into()),
    }
}
