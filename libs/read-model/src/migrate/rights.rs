//! Checks the database role's rights before anything is created, in Kafka too.

use anyhow::{Context as _, ensure};
use service_kit::{
    database::{self, Role, pooler},
    settings::{AtSetting, Settings},
};
use sqlx::PgPool;

/// Schemas that outlive a generation. Those of the generations come and go with them, so the role
/// must be able to create one at any time.
const READ_MODEL: &[&str] = &["rollcall", "live"];
const KEY_STORE: &[&str] = &["rollcall_keys"];

/// A missing right, with the GRANT that gives it. No row: the role has all rights.
const MISSING: &str = "\
SELECT format('the role can''t create schemas in the database %1$I. The owner of the database must run: GRANT CREATE ON DATABASE %1$I TO %2$I', \
    current_database(), current_user) \
WHERE NOT has_database_privilege(current_database(), 'CREATE') \
UNION ALL \
SELECT format('the schema %1$I belongs to the role %2$I. Migrate as that role, or have it run: GRANT %2$I TO %3$I', \
    nspname, pg_get_userbyid(nspowner), current_user) \
FROM pg_namespace WHERE nspname = ANY ($1) AND NOT pg_has_role(nspowner, 'USAGE') \
LIMIT 1";

/// Checks that the role has all rights.
///
/// # Errors
/// It lacks one: the error names the GRANT that gives it. Or a query failed.
pub async fn check(settings: &Settings) -> anyhow::Result<()> {
    of("DATABASE_URL", settings.database_url()?, READ_MODEL).await?;
    match &settings.keys_database_url {
        Some(url) => of("ROLLCALL_KEYS_DATABASE_URL", url, KEY_STORE).await,
        None => of("DATABASE_URL", settings.database_url()?, KEY_STORE).await,
    }
}

async fn of(setting: &'static str, url: &str, schemas: &[&str]) -> anyhow::Result<()> {
    let pool = database::pool(url, Role::Projector, 1)?;
    let missing = missing(&pool, schemas).await;
    pool.close().await;
    let missing = missing.context("can't read the role's rights").context(AtSetting(setting))?;
    ensure!(missing.is_none(), "{setting}: {}. Nothing was created", missing.unwrap_or_default());
    Ok(())
}

async fn missing(pool: &PgPool, schemas: &[&str]) -> anyhow::Result<Option<String>> {
    pooler::check(pool).await?;
    Ok(sqlx::query_scalar(MISSING).bind(schemas).fetch_optional(pool).await?)
}
