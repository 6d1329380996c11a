//! Destroys keys, and waits until no process has them in memory any more.

use super::{ANSWER_TIMEOUT, Keys, KeysError, MAX_CHECK_INTERVAL, cache_lease, store};
use domain::codec::Owner;
use service_kit::{database::answered, vacuum};
use sqlx::{Connection as _, PgExecutor};
use std::time::{Duration, Instant};

impl Keys {
    /// Destroys the keys of owners within a transaction in the key store's database. Every process
    /// is notified when it commits.
    ///
    /// # Errors
    /// The store can't be reached.
    pub async fn destroy_in(executor: impl PgExecutor<'_>, owners: &[Owner]) -> sqlx::Result<()> {
        store::destroy(executor, owners).await.map(drop)
    }

    /// Destroys the keys of owners. Every process is notified.
    ///
    /// # Errors
    /// The store can't be reached.
    pub async fn destroy(&self, owners: &[Owner]) -> Result<(), KeysError> {
        answered(ANSWER_TIMEOUT, store::destroy(&self.0.pool, owners)).await?;
        Ok(())
    }

    /// Reclaims the space of destroyed keys in PostgreSQL. Returns whether all of it was reclaimed.
    ///
    /// # Errors
    /// The store can't be reached, or the statement fails.
    pub async fn vacuum(&self) -> Result<bool, KeysError> {
        let mut connection = vacuum::connect(&self.0.pool).await?;
        let tables = ["data_keys", "dropping"].map(|table| format!("rollcall_keys.{table}"));
        let is_whole = vacuum::reclaim(&mut connection, &tables).await?;
        connection.close().await?;
        Ok(is_whole)
    }

    /// Waits until an owner's key is destroyed and no process has it in memory any more. Returns
    /// whether that happened before the deadline.
    pub async fn is_destroyed(&self, owner: &Owner, deadline: Instant) -> bool {
        let destroyed = async {
            let mut pause = Duration::from_millis(1);
            loop {
                let asked = store::is_destroyed(&self.0.pool, owner, cache_lease::LEASE.as_secs_f64());
                match answered(ANSWER_TIMEOUT, asked).await {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(error = %KeysError::from(error), "can't check whether a key is destroyed")
                    }
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_CHECK_INTERVAL);
            }
        };
        tokio::time::timeout_at(deadline.into(), destroyed).await.is_ok()
    }
}
