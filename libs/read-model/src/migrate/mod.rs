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
use sqlx::{PgConnection, PgPool, raw_sql};

const ROLLCALL: &str = include_str!("rollcall.sql");
const CONTROL: &str = include_str!("control.sql");
const READER: &str = include_str!("reader.sql");

/// Creates or upgrades the tables that outlive a generation. Call it under the schema lock.
///
/// # Errors
/// A statement failed.
pub async fn create_shared(connection: &mut PgConnection) -> sqlx::Result<()> {
    raw_sql(ROLLCALL).execute(&mut *connection).await?;
    raw_sql(CONTROL).execute(connection).await.map(drop)
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
            "the role rollcall_reader was not made; readers keep the rights of their own user"
        );
    }
}
