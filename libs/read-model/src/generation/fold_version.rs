//! Which fold has made a generation. A process must not serve or fold a generation whose tables or
//! rows it does not understand.

use super::tables;
use service_kit::database::answered;
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgPool};
use std::time::Duration;

/// How long the check at the start of a service may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// The fold of this build. Raise it whenever the same log gives other rows, or rows in other tables
/// or under other indexes.
///
/// 1: before search by postings. 2: with postings. 3: the same rows, under indexes that updates
/// leave as they are.
pub const FOLD_VERSION: i32 = 3;

/// The first fold with the rows of this one. A generation of it can be compared with a new one.
const FIRST_COMPARABLE_FOLD: i32 = 2;

/// A generation that a newer release has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "generation {generation} was made by fold {fold_version}, and this release knows folds up to {FOLD_VERSION}. Start the release \
     that made it; or with that release, make an older generation live: `rollcall projection rollback`"
)]
pub struct Unreadable {
    generation: i32,
    fold_version: i32,
}

/// Checks that this build can read and fold a generation of this fold.
///
/// # Errors
/// It can't.
pub fn check_readable(generation: i32, fold_version: i32) -> Result<(), Unreadable> {
    if fold_version > FOLD_VERSION { Err(Unreadable { generation, fold_version }) } else { Ok(()) }
}

/// Checks that this build can read the live generation, if PostgreSQL answers soon and there is one.
///
/// # Errors
/// It can't.
pub async fn check_live(pool: &PgPool) -> Result<(), Unreadable> {
    match answered(CHECK_TIMEOUT, live(pool)).await {
        Ok(Some((generation, fold_version))) => check_readable(generation, fold_version),
        // Services may start in any order, and before there is a read model.
        Ok(None) | Err(_) => Ok(()),
    }
}

/// What to tell operators if an older fold has made the live generation.
///
/// # Errors
/// The query failed.
pub async fn older_fold(pool: &PgPool) -> sqlx::Result<Option<String>> {
    let older = live(pool).await?.filter(|(_, fold_version)| *fold_version < FOLD_VERSION);
    Ok(older.map(|(generation, fold_version)| describe_older(generation, fold_version)))
}

fn describe_older(generation: i32, fold_version: i32) -> String {
    let unverified = if fold_version < FIRST_COMPARABLE_FOLD { " --unverified" } else { "" };
    format!(
        "generation {generation} was made by fold {fold_version}, and this release has fold {FOLD_VERSION}: \
         `rollcall projection rebuild --promote{unverified}` replaces it"
    )
}

async fn live(pool: &PgPool) -> sqlx::Result<Option<(i32, i32)>> {
    sqlx::query_as("SELECT id, fold_version FROM rollcall.generations WHERE state = 'live'")
        .fetch_optional(pool)
        .await
}

/// The fold that has made a generation.
///
/// # Errors
/// The query failed, or there is no such generation.
pub async fn fold_version(connection: &mut PgConnection, generation: i32) -> sqlx::Result<i32> {
    sqlx::query_scalar("SELECT fold_version FROM rollcall.generations WHERE id = $1")
        .bind(generation)
        .fetch_one(connection)
        .await
}

/// A hash of the statements that make the tables of a generation.
#[must_use]
pub fn schema_hash() -> String {
    let digest = Sha256::new().chain_update(tables::TABLES).chain_update(tables::INDEXES).finalize();
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_of_a_newer_release_is_not_read() {
        assert_eq!(check_readable(7, FOLD_VERSION), Ok(()));
        let error = check_readable(7, FOLD_VERSION + 1).expect_err("newer");
        assert!(error.to_string().contains("generation 7"), "{error}");
    }

    #[test]
    fn a_generation_with_other_rows_is_replaced_unverified() {
        let text = describe_older(7, 1);
        assert!(text.starts_with("generation 7 was made by fold 1,"), "{text}");
        assert!(text.ends_with("`rollcall projection rebuild --promote --unverified` replaces it"), "{text}");
        let text = describe_older(7, 2);
        assert!(text.ends_with("`rollcall projection rebuild --promote` replaces it"), "{text}");
    }

    #[test]
    fn other_tables_are_another_fold() {
        let (version, hash) = (FOLD_VERSION, schema_hash());
        assert_eq!(
            (version, hash.as_str()),
            (3, "7c43803ec83a60b0"),
            "the tables changed: raise FOLD_VERSION"
        );
    }
}
