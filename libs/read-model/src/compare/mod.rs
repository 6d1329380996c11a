//! Compares two generations that are folded up to the same offsets.
//!
//! Everything is read from one snapshot. Each table is read in slices of its blocks, and each slice
//! gives a number of rows and a digest for each tenant. A digest is a sum of hashes of rows, so the
//! order of rows does not matter.

mod differences;
mod digest;
mod table;

pub use differences::{Difference, differing_postings, differing_rows};
pub use digest::{Digest, Slice, slice, slices};
pub(crate) use digest::{blocks, ranges};
pub use table::Table;

use sqlx::{Connection as _, PgConnection, PgPool};

/// The snapshot that two generations are compared in.
pub struct Snapshot(pub(crate) PgConnection);

impl Snapshot {
    /// Takes the snapshot: what is committed after this is not in it.
    ///
    /// # Errors
    /// PostgreSQL fails or can't be reached.
    pub async fn take(pool: &PgPool) -> sqlx::Result<Self> {
        // Not a connection of the pool: its settings are for statements that look rows up by key.
        let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
        for statement in [
            "SET plan_cache_mode = auto",
            "SET enable_seqscan = on",
            "SET enable_hashjoin = on",
            "SET enable_mergejoin = on",
            "SET statement_timeout = 0",
            "SET idle_in_transaction_session_timeout = 0",
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            // The first statement takes the snapshot.
            "SELECT FROM rollcall.generations LIMIT 1",
        ] {
            sqlx::query(statement).execute(&mut connection).await?;
        }
        Ok(Self(connection))
    }

    /// Gives the snapshot up.
    ///
    /// # Errors
    /// PostgreSQL can't be reached any more.
    pub async fn release(self) -> sqlx::Result<()> {
        self.0.close().await
    }
}
