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
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    idle: Vec<Idle>,
    /// How many wait for a connection of the pool.
    waiting: usize,
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
        Self { pool, limit, shared: Mutex::default() }
    }

    /// A connection that was just in use, or else one of the pool.
    ///
    /// # Errors
    /// The pool has none in time.
    pub async fn take(&self) -> sqlx::Result<KeptConnection<'_>> {
        let waiting = loop {
            match self.pop_or_wait() {
                Ok(Idle { connection, acquired, used }) => {
                    if used.elapsed() < RECENTLY_USED && acquired.elapsed() < MAX_AGE {
                        return Ok(KeptConnection { connection, acquired, home: self });
                    }
                }
                Err(waiting) => break waiting,
            }
        };
        let connection = self.pool.acquire().await?;
        drop(waiting);
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
        self.shared().idle.clear();
        closed.await;
    }

    /// An idle connection. If there is none, the caller counts as waiting.
    fn pop_or_wait(&self) -> Result<Idle, Waiting<'_>> {
        let mut shared = self.shared();
        if let Some(idle) = shared.idle.pop() {
            return Ok(idle);
        }
        shared.waiting += 1;
        Err(Waiting(self))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody waits for a connection of the pool until this is dropped.
struct Waiting<'k>(&'k KeptConnections);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.shared().waiting -= 1;
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
    /// outside of a transaction. If somebody waits for a connection of the pool, it gets this one.
    pub fn keep(self) {
        let mut shared = self.home.shared();
        let is_kept =
            shared.waiting == 0 && shared.idle.len() < self.home.limit && !self.home.pool.is_closed();
        if is_kept {
            let idle = Idle { connection: self.connection, acquired: self.acquired, used: Instant::now() };
            shared.idle.push(idle);
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
