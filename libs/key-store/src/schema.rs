//! The key store's schema.

use service_kit::database::migrations::Migrations;
use sqlx::{PgConnection, PgPool, raw_sql};

/// The key store's tables. Add a step for each change; never change a released one.
const MIGRATIONS: Migrations = Migrations {
    schema: "rollcall_keys",
    steps: &[("baseline", include_str!("../migrations/0001_baseline.sql"))],
};
const ROLE: &str = include_str!("role.sql");
/// The advisory lock under which the schema is created.
const SCHEMA_LOCK: i64 = 0x726f_6c6c_6b65_7973;

/// Creates what is missing of the schema.
pub(super) async fn create(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(SCHEMA_LOCK).execute(&mut *connection).await?;
    MIGRATIONS.apply(connection).await?;
    raw_sql(ROLE).execute(connection).await.map(drop)
}

/// Whether there is a key store in this database.
pub(super) async fn is_there(pool: &PgPool) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT to_regclass('rollcall_keys.secrets') IS NOT NULL").fetch_one(pool).await
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn released_migrations_never_change() {
        MIGRATIONS.assert_unchanged(&["16c9e71502a40f50"]);
    }
}
