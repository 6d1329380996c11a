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

/// Gives the role its rights if it has none: roles belong to a server, so a restored key store may
/// lack them. `pool` has connections of the owner.
pub(super) async fn renew_rights(pool: &PgPool) -> sqlx::Result<()> {
    let lacks = "SELECT EXISTS (SELECT FROM pg_namespace n, pg_roles r WHERE nspname = 'rollcall_keys' \
        AND rolname = 'rollcall_keys' AND NOT has_schema_privilege(r.oid, n.oid, 'USAGE'))";
    if sqlx::query_scalar(lacks).fetch_one(pool).await? {
        raw_sql(ROLE).execute(pool).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn released_migrations_never_change() {
        MIGRATIONS.assert_unchanged(&["16c9e71502a40f50"]);
    }
}
