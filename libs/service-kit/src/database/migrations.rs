//! Versioned migrations of a schema, each applied once and recorded in a table of that schema.

use sqlx::{
    PgConnection, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

/// The migrations of a schema. A released one never changes: its checksum is recorded where it was
/// applied, and a different text is refused there.
pub struct Migrations {
    /// The schema, which is created if it is missing. Its table `migrations` records what was
    /// applied.
    pub schema: &'static str,
    /// Names and statements, in order. The first one has version 1.
    pub steps: &'static [(&'static str, &'static str)],
}

impl Migrations {
    /// Applies those that the database does not have yet. Call it in a transaction that holds the
    /// schema's lock.
    ///
    /// Migrations of a later release are left alone, so that an operator can go back to this one.
    ///
    /// # Errors
    /// A statement failed, or the database has another text of a migration.
    pub async fn apply(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let mut migrator = Migrator::with_migrations(self.migrations());
        migrator.create_schema(self.schema);
        migrator.dangerous_set_table_name(format!("{}.migrations", self.schema));
        migrator.set_ignore_missing(true).set_locking(false);
        Ok(migrator.run_direct(None, connection, false).await?)
    }

    /// For tests: asserts that the released steps have these checksums, in hexadecimal, of which
    /// the first 16 digits are compared.
    ///
    /// # Panics
    /// A released step has changed.
    pub fn assert_unchanged(&self, released: &[&str]) {
        let checksum = |step: &Migration| step.checksum.iter().take(8).map(|b| format!("{b:02x}")).collect();
        let checksums: Vec<String> = self.migrations().iter().take(released.len()).map(checksum).collect();
        assert_eq!(checksums, released, "a released migration never changes: add a step");
    }

    fn migrations(&self) -> Vec<Migration> {
        let migration = |(version, (name, sql)): (i64, &(&'static str, &'static str))| {
            Migration::new(version, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
        };
        (1..).zip(self.steps).map(migration).collect()
    }
}
