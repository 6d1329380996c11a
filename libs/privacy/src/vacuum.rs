//! What deleted rows leave behind in PostgreSQL is given free soon after, and so are the samples that its planner took of them.

use anyhow::Context as _;
use key_store::Keys;
use read_model::generation::schema;
use service_kit::vacuum::{connect, give_free};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Between two, at least: each reads the pages that have changed since the one before, and the indexes.
const EVERY: Duration = Duration::from_secs(60);
/// And so many times what the last one took.
const SHARE: u32 = 10;
/// Until another try, where something could not be given free: it does not read again what has not changed.
const AGAIN: Duration = Duration::from_secs(10);

/// Remembers whether there is something to do.
#[derive(Default)]
pub struct Vacuum {
    is_due: Arc<AtomicBool>,
    /// When the next may begin; locked while one is at work.
    next: Arc<Mutex<Option<Instant>>>,
}

impl Vacuum {
    /// Takes notice that something of an erased user went.
    pub fn is_due(&self) {
        self.is_due.store(true, Ordering::Relaxed);
    }

    /// Begins one in the background, if there is something to do and the last is a while ago.
    pub fn when_due(&self, pool: &PgPool, keys: &Keys) {
        let Ok(mut next) = self.next.clone().try_lock_owned() else { return };
        if next.is_some_and(|next| Instant::now() < next) || !self.is_due.swap(false, Ordering::Relaxed) {
            return;
        }
        let (pool, keys, is_due) = (pool.clone(), keys.clone(), self.is_due.clone());
        tokio::spawn(async move {
            let began = Instant::now();
            let is_whole = vacuum(&pool, &keys).await.unwrap_or_else(|error| {
                tracing::warn!(
                    error = service_kit::errors::describe_error(error.as_ref()),
                    "what was deleted is not given free yet"
                );
                false
            });
            if !is_whole {
                is_due.store(true, Ordering::Relaxed);
            }
            let pause = if is_whole { EVERY.max(began.elapsed() * SHARE) } else { AGAIN };
            *next = Some(Instant::now() + pause);
        });
    }
}

/// Whether nothing is left that could be read by somebody.
async fn vacuum(pool: &PgPool, keys: &Keys) -> anyhow::Result<bool> {
    let mut connection = connect(pool).await?;
    let all: Vec<i32> =
        sqlx::query_scalar("SELECT id FROM rollcall.generations").fetch_all(&mut connection).await?;
    let schemas: Vec<String> = all.into_iter().map(schema).collect();
    let of = |schema: &String| {
        let schema = schema.clone();
        ["users", "credentials", "dead_letters"].map(|table| format!("{schema}.{table}"))
    };
    let tables: Vec<String> = schemas.iter().flat_map(of).collect();
    for schema in &schemas {
        sample(&mut connection, schema).await?;
    }
    let are_rows_free = give_free(&mut connection, &tables).await?;
    // The samples of before are dead rows now. Only the database's owner may do this; without it they stay until PostgreSQL's own vacuum.
    if let Err(error) = sqlx::raw_sql("VACUUM pg_catalog.pg_statistic").execute(&mut connection).await {
        tracing::debug!(%error, "dead samples are left to PostgreSQL's own vacuum");
    }
    connection.close().await?;
    let are_keys_free = keys.vacuum().await.context("the key store")?;
    Ok(are_rows_free && are_keys_free)
}

/// Has the planner take its samples anew. Of a table without rows it would keep the old ones, so it gets to see a row that nobody else ever does.
async fn sample(connection: &mut PgConnection, schema: &str) -> sqlx::Result<()> {
    let sql = SAMPLE.replace("{g}", schema);
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

const SAMPLE: &str = "\
BEGIN; \
INSERT INTO {g}.users (tenant_id, id, version, created_at, claims, body, creation_digest, log_partition, log_offset) \
    SELECT '', '00000000-0000-0000-0000-000000000000', 0, 'epoch', '{}', '', '', -1, -1 WHERE NOT EXISTS (SELECT FROM {g}.users); \
ANALYZE {g}.users; \
DELETE FROM {g}.users WHERE tenant_id = ''; \
COMMIT; \
ANALYZE {g}.credentials, {g}.dead_letters";
