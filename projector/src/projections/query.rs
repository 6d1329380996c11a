//! A projection's own question.

use super::{generations::live, named};
use anyhow::{Context as _, ensure};
use events_schema::TenantId;
use projections::Tables;
use read_model::{
    projections::{self as store, GenerationId},
    write::sql_error,
};
use serde_json::Value;
use service_kit::settings::Settings;

/// The answer of a projection.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The projection.
    pub projection: &'static str,
    /// The generation that was asked.
    pub generation: i32,
    /// The tenant.
    pub tenant_id: TenantId,
    /// How many offsets the generation is behind the users.
    pub lag: Option<i64>,
    /// The answer.
    pub result: Value,
}

/// Asks the live generation of a projection about a tenant.
///
/// # Errors
/// There is no such projection, it has no live generation of this release, or PostgreSQL can't be asked.
pub async fn query(settings: &Settings, name: &str, tenant: &TenantId) -> anyhow::Result<Answer> {
    let (projection, pool) = (named(name)?, store::pool(settings)?);
    let live = live(&pool, projection.name).await?;
    let live = live.with_context(|| {
        format!("projection {name} has no generation yet: a running projector creates the first one, and `rollcall projection status \
             --projection {name}` shows why it can't")
    })?;
    let (made_by, ours) = (live.fold_version, projection.fold_version);
    ensure!(
        made_by == ours,
        "the live generation {} was made by fold {made_by}, and this release has fold {ours}: `rollcall projection rebuild --projection \
         {name} --promote --unverified` replaces it",
        live.generation
    );
    let schema = GenerationId { projection: projection.name, generation: live.generation }.schema();
    let mut transaction = pool.begin_with("BEGIN READ ONLY").await?;
    let result = projection.query(&mut Tables::new(&mut transaction, &schema), tenant).await;
    let result =
        result.map_err(|error| anyhow::anyhow!("the query failed ({})", sql_error::reason(&error)))?;
    transaction.rollback().await?;
    pool.close().await;
    Ok(Answer {
        projection: projection.name,
        generation: live.generation,
        tenant_id: tenant.clone(),
        lag: live.lag,
        result,
    })
}
