//! What deleted rows leave behind in PostgreSQL, given free soon after, and not when enough of it has come together.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use std::time::{Duration, Instant};

/// How long to wait for those who may still read what was deleted: as long as a statement of ours may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at them.
const LOOK: Duration = Duration::from_millis(100);

/// The transaction that is next to begin: whatever was deleted so far was deleted by an older one.
const NEXT: &str = "SELECT pg_snapshot_xmax(pg_current_snapshot())::xid::text";

/// Whether nobody can still read what older transactions than that have deleted; as far as one may look at others.
const IS_UNREAD: &str = "\
SELECT NOT EXISTS (SELECT FROM ( \
    SELECT unnest(ARRAY[backend_xid, backend_xmin]) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
    UNION ALL SELECT unnest(ARRAY[xmin, catalog_xmin]) FROM pg_replication_slots \
    UNION ALL SELECT transaction FROM pg_prepared_xacts WHERE database = current_database() \
) held(by) WHERE by IS NOT NULL AND age(by) > age($1::text::xid))";

/// Opens a connection for it, like those of a pool, but of its own: it may take longer than other statements may. No role is taken, since only
/// the tables' owner may do it.
///
/// # Errors
/// The database can't be reached.
pub async fn connect(pool: &PgPool) -> sqlx::Result<PgConnection> {
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
    sqlx::query("SET statement_timeout = 0").execute(&mut connection).await?;
    Ok(connection)
}

/// Gives free what was deleted in these tables until now, and in their indexes, however little it is. Says whether that was all of it: a
/// transaction that has been open for long may still read some.
///
/// # Errors
/// The database does not do it.
pub async fn give_free(connection: &mut PgConnection, tables: &[String]) -> sqlx::Result<bool> {
    let next: String = sqlx::query_scalar(NEXT).fetch_one(&mut *connection).await?;
    let is_unread = is_unread(connection, &next).await?;
    let vacuum = format!("VACUUM (INDEX_CLEANUP ON) {}", tables.join(", "));
    sqlx::raw_sql(AssertSqlSafe(vacuum)).execute(connection).await?;
    Ok(is_unread)
}

async fn is_unread(connection: &mut PgConnection, next: &str) -> sqlx::Result<bool> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let is_unread = sqlx::query_scalar(IS_UNREAD).bind(next).fetch_one(&mut *connection).await?;
        if is_unread || Instant::now() >= give_up {
            return Ok(is_unread);
        }
        tokio::time::sleep(LOOK).await;
    }
}
