//! The shared schemas `rollcall` and `live`, and the checks before they are made.

pub mod deployment;
mod key_store_check;
mod report;
mod rights;

pub use deployment::{Bound, bind_anew, bound};
pub use key_store_check::{check_key_store, check_not_emptied, try_out};
pub use report::{Migrated, Objects};
pub use rights::check as check_rights;

use crate::locks::lock_schema;
use service_kit::database::migrations::Migrations;
use sqlx::{PgConnection, PgPool, raw_sql};

/// The tables that outlive a generation. Add a step for each change; never change a released one.
/// A step also alters the tables of existing generations where their template changes.
const MIGRATIONS: Migrations = Migrations {
    schema: "rollcall",
    steps: &[
        ("baseline", include_str!("../../migrations/0001_baseline.sql")),
        ("partial page indexes", include_str!("../../migrations/0002_partial_page_indexes.sql")),
        ("postings", include_str!("../../migrations/0003_postings.sql")),
        ("following generations", include_str!("../../migrations/0004_following_generations.sql")),
        ("repairs", include_str!("../../migrations/0005_repairs.sql")),
        ("projections", include_str!("../../migrations/0006_projections.sql")),
        ("comparisons", include_str!("../../migrations/0007_comparisons.sql")),
    ],
};
const READER: &str = include_str!("reader.sql");

/// Creates or upgrades the tables that outlive a generation. Call it under the schema lock.
///
/// # Errors
/// A statement failed.
pub async fn create_shared(connection: &mut PgConnection) -> sqlx::Result<()> {
    MIGRATIONS.apply(connection).await
}

/// Creates the role of readers. Where the database's role may not, readers still have read-only
/// sessions, so a failure is only logged.
pub async fn create_reader(pool: &PgPool) {
    let made = async {
        let mut transaction = pool.begin().await?;
        lock_schema(&mut transaction).await?;
        raw_sql(READER).execute(&mut *transaction).await?;
        transaction.commit().await
    };
    if let Err(error) = made.await {
        tracing::warn!(
            error = service_kit::errors::describe_error(&error),
            "the role rollcall_reader can't be created; readers keep the rights of their own user"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn released_migrations_never_change() {
        MIGRATIONS.assert_unchanged(&["f35b18fd8e033a65"]);
    }
}
