//! Compares a generation of a projection with the live one, by the digests that the users are compared
//! by. Nobody waits for it but the followers of both.

use super::{
    generations::{candidate, follows, live},
    hold::Held,
    named,
};
use crate::generation::{ComparedTable, Digests, Phase, Progress, VerifyOptions, VerifyReport, Which};
use anyhow::{Context as _, ensure};
use projections::Registered;
use read_model::{
    compare::{Difference, Snapshot},
    locks::{Subject, Verb, VerbLock},
    projections::{
        self as store, GenerationId,
        digest::{self, Slice},
        generations,
    },
};
use service_kit::settings::Settings;
use sqlx::PgPool;
use std::{collections::BTreeSet, time::Instant};

/// Compares a generation with the live one, and records it if they are equal.
///
/// # Errors
/// There is no such generation, it can't be compared, another verb is at work, or Kafka or PostgreSQL
/// fails.
pub async fn verify(
    settings: &Settings,
    name: &str,
    options: VerifyOptions,
    mut progress: impl FnMut(Progress),
) -> anyhow::Result<VerifyReport> {
    let (projection, pool) = (named(name)?, store::pool(settings)?);
    let subject = Subject::Projection(projection.name);
    let lock = VerbLock::take(&pool, subject, Verb::Verify).await?;
    let generation = candidate(&pool, projection, Which::Built(options.generation)).await?.generation;
    let report =
        compare_with_live(settings, &pool, projection, generation, options.limit, &mut progress).await?;
    lock.release().await?;
    Ok(report)
}

/// Compares a generation with the live one, and records the result.
pub(super) async fn compare_with_live(
    settings: &Settings,
    pool: &PgPool,
    projection: &'static Registered,
    generation: i32,
    limit: usize,
    progress: &mut impl FnMut(Progress),
) -> anyhow::Result<VerifyReport> {
    let started = Instant::now();
    let live = comparable_live(pool, projection, generation).await?;
    let mut held = Held::wait(settings, pool, projection, [live, generation]).await?;
    let snapshot = held.align(pool, |done, total| {
        progress(Progress { generation, phase: Phase::Folding, done, total });
    });
    let snapshot = snapshot.await?;
    let ids = held.ids();
    held.release().await?;
    let tables = projection.tables.iter().map(|table| table.name).collect();
    let mut comparison = Comparison { snapshot, ids, tables };
    let digests = comparison.digests(progress).await?;
    let differing: Vec<(&'static str, String)> = digests.differing().collect();
    let differences = comparison.differences(&differing, limit + 1).await?;
    let (differences, has_more) = Difference::up_to(limit, differences);
    comparison.snapshot.release().await?;
    let is_equal = differing.is_empty();
    let digest = is_equal.then(|| digests.total().to_string());
    generations::set_verified(pool, projection.name, [live, generation], digest.as_deref()).await?;
    let tenants: BTreeSet<String> = differing.into_iter().map(|(_, tenant)| tenant).collect();
    Ok(VerifyReport {
        generation,
        live,
        is_equal,
        tables: comparison
            .tables
            .iter()
            .map(|table| digests.table(*table, table))
            .collect::<Vec<ComparedTable>>(),
        tenants: digests.tenants(),
        differing_tenants: tenants.into_iter().collect(),
        differences,
        has_more,
        digest,
        held_seconds: 0.0,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// The live generation, if it can be compared with this one.
pub(super) async fn comparable_live(
    pool: &PgPool,
    projection: &Registered,
    generation: i32,
) -> anyhow::Result<i32> {
    let name = projection.name;
    let promote = format!("`rollcall projection promote {generation} --projection {name} --unverified`");
    let live = live(pool, name).await?.with_context(|| {
        format!(
            "the projection has no live generation to compare generation {generation} with: run {promote}"
        )
    })?;
    ensure!(
        live.generation != generation,
        "generation {generation} is the live one: name another one, which is then compared with it"
    );
    ensure!(
        follows(&live, projection),
        "the live generation {} was made by another fold or from another log, so nothing can be compared with it: run {promote}. \
         `rollcall projection rebuild --projection {name} --promote --unverified` makes a new generation live",
        live.generation
    );
    Ok(live.generation)
}

/// A comparison in a snapshot: the live generation, and the other one.
struct Comparison {
    snapshot: Snapshot,
    ids: [GenerationId; 2],
    tables: Vec<&'static str>,
}

impl Comparison {
    async fn digests(
        &mut self,
        progress: &mut impl FnMut(Progress),
    ) -> anyhow::Result<Digests<&'static str>> {
        let [live, other] = self.ids;
        let mut slices: Vec<(&'static str, Slice)> = Vec::new();
        for table in &self.tables {
            for id in self.ids {
                let found = digest::slices(&mut self.snapshot, id, table).await?;
                slices.extend(found.into_iter().map(|slice| (*table, slice)));
            }
        }
        let (total, mut done) = (slices.iter().map(|(_, slice)| slice.blocks()).sum(), 0);
        let mut digests = Digests::new(self.tables.iter().copied());
        for (table, slice) in slices {
            progress(Progress { generation: other.generation, phase: Phase::Verifying, done, total });
            for (tenant, digest) in digest::slice(&mut self.snapshot, &slice).await? {
                digests.add(table, tenant, slice.id == live, digest);
            }
            done += slice.blocks();
        }
        progress(Progress { generation: other.generation, phase: Phase::Verifying, done, total });
        Ok(digests)
    }

    async fn differences(
        &mut self,
        differing: &[(&'static str, String)],
        limit: usize,
    ) -> anyhow::Result<Vec<Difference>> {
        let mut found = Vec::new();
        for (table, tenant) in differing {
            let left = i64::try_from(limit.saturating_sub(found.len()))?;
            let users = digest::differing_users(&mut self.snapshot, self.ids, table, tenant, left).await?;
            found.extend(users.into_iter().map(|(tenant, user, fields, in_live, in_other)| Difference {
                tenant,
                user,
                table: (*table).to_owned(),
                fields,
                in_live,
                in_other,
            }));
        }
        Ok(found)
    }
}
