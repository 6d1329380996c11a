//! Detects a connection pooler, such as PgBouncer, where PostgreSQL itself is required.
//!
//! Every connection of ours is a session: it is read-only or assumes a role, has its own timeouts,
//! keeps prepared statements, and listens for notifications. A pooler that assigns a server session
//! to each transaction (PgBouncer's `pool_mode=transaction`) would share all of that with
//! strangers, and PgBouncer drops our startup options in every mode.

use sqlx::PgPool;

/// The error and its remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the URL leads to a connection pooler (such as PgBouncer), which does not keep our sessions apart. Connect to \
     PostgreSQL directly. A pooler will do only in session mode and if it passes startup options on to the server, \
     which PgBouncer does in no mode"
)]
pub struct PoolerError;

/// PostgreSQL's SQLSTATE for a startup packet that it rejects.
const PROTOCOL_VIOLATION: &str = "08P01";
/// A prepared statement that is missing, and one that already exists. We prepare ours once per
/// session.
const FOREIGN_STATEMENTS: [&str; 2] = ["26000", "42P05"];

/// Whether only a pooler causes this error.
#[must_use]
pub fn is_pooler_error(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    match error.code().as_deref() {
        Some(PROTOCOL_VIOLATION) => error.message().contains("startup parameter"),
        Some(code) => FOREIGN_STATEMENTS.contains(&code),
        None => false,
    }
}

/// Rejects a pooler that accepted our session settings and dropped them.
///
/// # Errors
/// It did, or the database can't be queried.
pub async fn check(pool: &PgPool) -> anyhow::Result<()> {
    let is_kept = "SELECT current_setting('statement_timeout') <> '0'";
    match sqlx::query_scalar::<_, bool>(is_kept).fetch_one(pool).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(PoolerError.into()),
        Err(error) if is_pooler_error(&error) => Err(PoolerError.into()),
        Err(error) => Err(error.into()),
    }
}
