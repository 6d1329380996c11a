//! What deleted rows leave behind in PostgreSQL is given free soon after, not when enough has come together; and so are the samples that its
//! planner took of them.

use crate::{effects::Effects, generation};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Between two, at least: each reads the pages that have changed since the one before.
const EVERY: Duration = Duration::from_secs(60);

/// Remembers whether there is something to do.
#[derive(Default)]
pub(crate) struct Vacuum {
    is_due: bool,
    last: Option<Instant>,
    is_running: Arc<AtomicBool>,
}

impl Vacuum {
    /// Takes notice of a committed batch; whether it erased somebody.
    pub(crate) fn erased(&mut self, effects: &Effects) -> bool {
        let has_erased = !effects.tombstones.is_empty() || !effects.late.is_empty();
        self.is_due |= has_erased;
        has_erased
    }

    /// Begins one in the background, if there is something to do and the last is a while ago.
    pub(crate) fn when_due(&mut self, pool: &PgPool) {
        let is_early = self.last.is_some_and(|last| last.elapsed() < EVERY);
        if !self.is_due || is_early || self.is_running.swap(true, Ordering::Relaxed) {
            return;
        }
        (self.is_due, self.last) = (false, Some(Instant::now()));
        let (pool, is_running) = (pool.clone(), self.is_running.clone());
        tokio::spawn(async move {
            if let Err(error) = vacuum(&pool).await {
                tracing::warn!(%error, "what was deleted is left to PostgreSQL's own vacuum");
            }
            is_running.store(false, Ordering::Relaxed);
        });
    }
}

async fn vacuum(pool: &PgPool) -> sqlx::Result<()> {
    // Of its own: it may take longer than the fold's statements may.
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
    sqlx::query("SET statement_timeout = 0").execute(&mut connection).await?;
    let all: Vec<i32> =
        sqlx::query_scalar("SELECT id FROM rollcall.generations").fetch_all(&mut connection).await?;
    for schema in all.into_iter().map(generation::schema) {
        let tables =
            ["users", "credentials", "dead_letters"].map(|table| format!("{schema}.{table}")).join(", ");
        sqlx::raw_sql(AssertSqlSafe(format!("VACUUM (ANALYZE) {tables}"))).execute(&mut connection).await?;
    }
    // The samples of before are dead rows now. Only the database's owner may do this; without it they stay until PostgreSQL's own vacuum.
    if let Err(error) = sqlx::raw_sql("VACUUM pg_catalog.pg_statistic").execute(&mut connection).await {
        tracing::debug!(%error, "dead samples are left to PostgreSQL's own vacuum");
    }
    connection.close().await
}
