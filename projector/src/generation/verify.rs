//! Compares a generation with the live one. Both are held at the same offsets only until a snapshot
//! is taken. The tables are read from that snapshot, while writes go on.

use super::{candidate::comparable, comparison::Comparison, hold::hold, report::Progress, source::Source};
use read_model::{
    compare::{Difference, Table},
    generation::postings,
    locks::{Subject, Verb, VerbLock},
    operate::generations,
};
use service_kit::settings::Settings;
use sqlx::PgPool;
use std::{collections::BTreeSet, time::Instant};

/// The options of a comparison.
#[derive(Debug, Clone, Copy)]
pub struct VerifyOptions {
    /// The generation. `None`: the newest that is built and was never live.
    pub generation: Option<i32>,
    /// How many users that differ are named.
    pub limit: usize,
}

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// The generation.
    pub generation: i32,
    /// The live one.
    pub live: i32,
    /// Whether they are equal.
    #[serde(rename = "equal")]
    pub is_equal: bool,
    /// What was compared.
    pub tables: Vec<ComparedTable>,
    /// The tenants that have rows in either of them.
    pub tenants: usize,
    /// The tenants with a difference.
    pub differing_tenants: Vec<String>,
    /// Rows that differ, up to the limit.
    pub differences: Vec<Difference>,
    /// Whether more rows differ than the limit.
    #[serde(rename = "more")]
    pub has_more: bool,
    /// The digest of all rows, if they are equal.
    pub digest: Option<String>,
    /// How long writers had to wait, in seconds.
    pub held_seconds: f64,
    /// How long the comparison took, in seconds.
    pub seconds: f64,
}

/// A table in both generations.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparedTable {
    /// The table.
    pub table: String,
    /// The number of rows in the live generation.
    pub in_live: i64,
    /// The number of rows in the other one.
    pub in_other: i64,
    /// Whether the rows are equal.
    #[serde(rename = "equal")]
    pub is_equal: bool,
}

/// Compares a generation with the live one, and records it if they are equal.
///
/// # Errors
/// There is no such generation, it can't be compared, another verb is at work, or Kafka or
/// PostgreSQL fails.
pub async fn verify(
    settings: &Settings,
    options: VerifyOptions,
    mut progress: impl FnMut(Progress),
) -> anyhow::Result<VerifyReport> {
    let pool = read_model::pool(settings)?;
    let lock = VerbLock::take(&pool, Subject::Users, Verb::Verify).await?;
    let source = Source::open(settings, &pool, true).await?;
    let generation = comparable(&pool, &source, options.generation).await?;
    let report =
        compare_with_live(settings, &pool, &source, generation, options.limit, &mut progress).await?;
    lock.release().await?;
    Ok(report)
}

/// Compares a built generation with the live one, and records the result.
pub(super) async fn compare_with_live(
    settings: &Settings,
    pool: &PgPool,
    source: &Source<'_>,
    generation: i32,
    limit: usize,
    progress: &mut impl FnMut(Progress),
) -> anyhow::Result<VerifyReport> {
    let started = Instant::now();
    let held = hold(settings, pool, source, generation, progress).await?;
    let has_postings =
        postings::are_complete(pool, held.live).await? && postings::are_complete(pool, generation).await?;
    let mut comparison =
        Comparison { snapshot: held.snapshot, generations: [held.live, generation], has_postings };
    let digests = comparison.digests(progress).await?;
    let differing: Vec<(Table, String)> = digests.differing().collect();
    let differences = comparison.differences(&differing, limit + 1).await?;
    let (differences, has_more) = Difference::up_to(limit, differences);
    let tables = comparison.tables();
    comparison.snapshot.release().await?;
    let is_equal = differing.is_empty();
    let digest = is_equal.then(|| digests.total().to_string());
    generations::set_verified(pool, comparison.generations, digest.as_deref()).await?;
    let tenants: BTreeSet<String> = differing.into_iter().map(|(_, tenant)| tenant).collect();
    Ok(VerifyReport {
        generation,
        live: held.live,
        is_equal,
        tables: tables.map(|table| digests.table(table, table.name())).collect(),
        tenants: digests.tenants(),
        differing_tenants: tenants.into_iter().filter(|tenant| !tenant.is_empty()).collect(),
        differences,
        has_more,
        digest,
        held_seconds: held.held_for.as_secs_f64(),
        seconds: started.elapsed().as_secs_f64(),
    })
}
