//! Holds two generations of a projection, so that nobody else folds them.

use super::folder::Folder;
use key_store::Keys;
use projections::Registered;
use read_model::{
    compare::Snapshot,
    locks::FoldLock,
    projections::{GenerationId, digest, round::Round},
};
use service_kit::settings::Settings;
use sqlx::PgPool;
use std::collections::{BTreeMap, BTreeSet};

/// How often both are brought to the same offsets. An operator who reprocesses a dead letter meanwhile
/// makes another attempt necessary.
const MAX_ATTEMPTS: u32 = 10;

/// The live generation and another one, or the same if the projection has no live one.
pub(super) struct Held<'s> {
    locks: Vec<FoldLock>,
    pub(super) live: Folder<'s>,
    pub(super) other: Folder<'s>,
}

impl<'s> Held<'s> {
    /// Waits until nobody folds them. The locks are always taken in the same order.
    pub(super) async fn wait(
        settings: &'s Settings,
        pool: &PgPool,
        projection: &'static Registered,
        [live, other]: [i32; 2],
    ) -> anyhow::Result<Self> {
        let mut locks = Vec::new();
        for generation in BTreeSet::from([live, other]) {
            let id = GenerationId { projection: projection.name, generation };
            locks.push(FoldLock::wait(pool, id).await?);
        }
        let keys = Keys::open(settings)?;
        let folder = |generation| Folder::new(settings, pool, &keys, projection, generation);
        Ok(Self { locks, live: folder(live), other: folder(other) })
    }

    pub(super) fn ids(&self) -> [GenerationId; 2] {
        [self.live.id, self.other.id]
    }

    /// Brings both to the same offsets, and takes a snapshot in which they are there.
    pub(super) async fn align(
        &mut self,
        pool: &PgPool,
        mut folded: impl FnMut(u64, u64),
    ) -> anyhow::Result<Snapshot> {
        for _ in 0..MAX_ATTEMPTS {
            let (live, other) = (self.live.next(None).await?, self.other.next(None).await?);
            let start =
                |round: &Round, partition: &i32| round.ranges.get(partition).map_or(0, |range| range.start);
            let to = live
                .ends
                .keys()
                .map(|partition| (*partition, start(&live, partition).max(start(&other, partition))));
            let to: BTreeMap<i32, i64> = to.collect();
            let whole = to.values().sum::<i64>();
            let behind = |round: &Round| u64::try_from(whole - round.folded()).unwrap_or_default();
            let of_other = behind(&other);
            let total = behind(&live) + of_other;
            let mut show = |left: u64| folded(total.saturating_sub(left), total);
            self.live.fold_all(Some(&to), |round| show(behind(round) + of_other)).await?;
            self.other.fold_all(Some(&to), |round| show(behind(round))).await?;
            let mut snapshot = Snapshot::take(pool).await?;
            if digest::are_aligned(&mut snapshot, self.ids()).await? {
                return Ok(snapshot);
            }
            snapshot.release().await?;
        }
        anyhow::bail!(
            "both generations can't be brought to the same offsets, because dead letters are reprocessed: try again"
        )
    }

    pub(super) async fn release(self) -> anyhow::Result<()> {
        for lock in self.locks {
            lock.release().await?;
        }
        Ok(())
    }
}
