//! Connections that stay out of the pool between two statements.
//!
//! The pool tests a connection each time it is given back: one or two more round trips for each
//! statement. A caller that runs one statement after another needs no test, because the statement
//! before was one.

use super::RECENTLY_USED;
use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection};
use std::{
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long a connection stays out of the pool. The pool then decides whether it is still good: a
/// failover can leave a session that looks healthy and can't write.
const MAX_AGE: Duration = Duration::from_secs(5);

/// A pool, and up to `limit` connections of it that were in use a moment ago.
pub struct KeptConnections {
    pool: PgPool,
    limit: usize,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: PoolConnection<Postgres>,
    acquired: Instant,
    used: Instant,
}

impl KeptConnections {
    /// Keeps up to `limit` connections of `pool`. They count as connections of the pool, so whoever
    /// else uses the pool needs more than that.
    #[must_use]
    pub fn new(pool: PgPool, limit: usize) -> Self {
        Self { pool, limit, idle: Mutex::default() }
    }

    /// A connection that was just in use, or else one of the pool.
    ///
    /// # Errors
    /// The pool has none in time.
    pub async fn take(&self) -> sqlx::Result<KeptConnection<'_>> {
        while let Some(Idle { connection, acquired, used }) = self.pop() {
            if used.elapsed() < RECENTLY_USED && acquired.elapsed() < MAX_AGE {
                return Ok(KeptConnection { connection, acquired, home: self });
            }
        }
        let connection = self.pool.acquire().await?;
        Ok(KeptConnection { connection, acquired: Instant::now(), home: self })
    }

    /// Runs statements on a connection, and keeps it if they succeed.
    ///
    /// # Errors
    /// The pool has no connection in time, or a statement failed.
    pub async fn run<T>(
        &self,
        statements: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        let mut connection = self.take().await?;
        let answer = statements(&mut connection).await?;
        connection.keep();
        Ok(answer)
    }

    /// Closes the pool. Connections in use are closed when they are given back.
    pub async fn close(&self) {
        let closed = self.pool.close();
        self.idle().clear();
        closed.await;
    }

    fn pop(&self) -> Option<Idle> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use. Dropped, it goes back to the pool, which tests it.
pub struct KeptConnection<'k> {
    connection: PoolConnection<Postgres>,
    acquired: Instant,
    home: &'k KeptConnections,
}

impl KeptConnection<'_> {
    /// Keeps the connection for the next statement. Call it after a statement that succeeded,
    /// outside of a transaction.
    pub fn keep(self) {
        let mut idle = self.home.idle();
        if idle.len() < self.home.limit && !self.home.pool.is_closed() {
            idle.push(Idle { connection: self.connection, acquired: self.acquired, used: Instant::now() });
        }
    }
}

impl Deref for KeptConnection<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for KeptConnection<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
