//! The comparison of two generations in a snapshot: digests first, and then the rows that differ.

use super::{
    report::{Phase, Progress},
    verify::ComparedTable,
};
use read_model::compare::{self, Difference, Digest, Slice, Snapshot, Table};
use std::collections::{BTreeMap, BTreeSet};

/// A comparison in a snapshot: the live generation, and the other one.
pub(super) struct Comparison {
    pub(super) snapshot: Snapshot,
    pub(super) generations: [i32; 2],
    /// Whether both have postings.
    pub(super) has_postings: bool,
}

impl Comparison {
    pub(super) fn tables(&self) -> impl Iterator<Item = Table> + use<> {
        let has_postings = self.has_postings;
        Table::ALL.into_iter().filter(move |table| has_postings || *table != Table::Postings)
    }

    /// Reads both generations, slice by slice.
    pub(super) async fn digests(
        &mut self,
        progress: &mut impl FnMut(Progress),
    ) -> anyhow::Result<Digests<Table>> {
        let mut slices: Vec<Slice> = Vec::new();
        for table in self.tables() {
            for generation in self.generations {
                slices.extend(compare::slices(&mut self.snapshot, generation, table).await?);
            }
        }
        let (total, mut done) = (slices.iter().map(Slice::blocks).sum(), 0);
        let [live, generation] = self.generations;
        let mut digests = Digests::new(self.tables());
        for slice in slices {
            progress(Progress { generation, phase: Phase::Verifying, done, total });
            for (tenant, digest) in compare::slice(&mut self.snapshot, slice, self.has_postings).await? {
                digests.add(slice.table, tenant, slice.generation == live, digest);
            }
            done += slice.blocks();
        }
        progress(Progress { generation, phase: Phase::Verifying, done, total });
        Ok(digests)
    }

    /// The rows that differ, up to `limit`.
    pub(super) async fn differences(
        &mut self,
        differing: &[(Table, String)],
        limit: usize,
    ) -> anyhow::Result<Vec<Difference>> {
        let mut found = Vec::new();
        for (table, tenant) in differing {
            let left = i64::try_from(limit.saturating_sub(found.len()))?;
            let (snapshot, generations) = (&mut self.snapshot, self.generations);
            found.extend(match table {
                Table::Postings => compare::differing_postings(snapshot, generations, left).await?,
                Table::Users | Table::Tombstones | Table::Credentials => {
                    let has_postings = self.has_postings;
                    compare::differing_rows(snapshot, generations, *table, tenant, has_postings, left).await?
                }
            });
        }
        Ok(found)
    }
}

/// The digests of the live generation and of the other one, by table and tenant.
pub(crate) struct Digests<T>(BTreeMap<T, BTreeMap<String, [Digest; 2]>>);

impl<T: Ord + Copy> Digests<T> {
    /// Of these tables, without rows so far.
    pub(crate) fn new(tables: impl Iterator<Item = T>) -> Self {
        Self(tables.map(|table| (table, BTreeMap::new())).collect())
    }

    pub(crate) fn add(&mut self, table: T, tenant: String, is_live: bool, digest: Digest) {
        let [live, other] = self.0.entry(table).or_default().entry(tenant).or_default();
        *(if is_live { live } else { other }) += digest;
    }

    pub(crate) fn differing(&self) -> impl Iterator<Item = (T, String)> {
        let differs = |(_, [live, other]): &(&String, &[Digest; 2])| live != other;
        self.0.iter().flat_map(move |(table, tenants)| {
            tenants.iter().filter(differs).map(|(tenant, _)| (*table, tenant.clone()))
        })
    }

    pub(crate) fn tenants(&self) -> usize {
        let names = self.0.values().flat_map(BTreeMap::keys).filter(|tenant| !tenant.is_empty());
        names.collect::<BTreeSet<_>>().len()
    }

    /// The digest of the live generation.
    pub(crate) fn total(&self) -> Digest {
        let mut total = Digest::default();
        self.0.values().flat_map(BTreeMap::values).for_each(|[live, _]| total += *live);
        total
    }

    /// What was compared of a table.
    pub(crate) fn table(&self, table: T, name: &str) -> ComparedTable {
        let tenants = || self.0.get(&table).into_iter().flat_map(BTreeMap::values);
        ComparedTable {
            table: name.to_owned(),
            in_live: tenants().map(|[live, _]| live.rows).sum(),
            in_other: tenants().map(|[_, other]| other.rows).sum(),
            is_equal: tenants().all(|[live, other]| live == other),
        }
    }
}
