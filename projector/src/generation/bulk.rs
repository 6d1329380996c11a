//! The first part of a rebuild: whole partitions are folded in memory, and each user's last state is
//! copied. Both topics of a partition have the same users, so partitions are independent.
//!
//! Memory is bounded. If the users of a partition need too much of it, the partition is read in
//! several passes, each for a part of the users, by a hash of the record's key.

use super::{
    follower::{Follower, Offsets, TooManyParked},
    key_part::KeyPart,
    pace::Pace,
    pass::Pass,
    source::Source,
};
use crate::pipeline::Discarded;
use event_log::replay::{Step, replay_part};
use events_schema::{Partition, Topic};
use read_model::write::{Effects, Store, ownership::Epochs, sql_error};
use service_kit::{failpoint, settings::Settings};
use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;

/// The memory that the states of users may need, over all partitions at work.
const MEMORY: usize = 128 << 20;
/// How often progress is shown.
const SHOW: Duration = Duration::from_millis(200);

/// Folds the partitions of which nothing is folded yet, up to `to`. What PostgreSQL refuses is left
/// to the follower, which finds the record.
pub(super) async fn fold_partitions(
    follower: &mut Follower<'_>,
    source: &Source<'_>,
    to: &Offsets,
    is_resumed: bool,
    mut progress: impl FnMut(u64),
) -> anyhow::Result<()> {
    let shared = Arc::new(Shared::new(follower, is_resumed));
    let mut waiting: VecDeque<PartitionJob> = jobs(follower, source, to, &shared).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let mut running = JoinSet::new();
    let mut parts = 1;
    loop {
        while running.len() < shared.jobs
            && let Some(job) = waiting.pop_front()
        {
            running.spawn(job.run(parts));
        }
        let done = match tokio::time::timeout(SHOW, running.join_next()).await {
            Ok(None) => break,
            Ok(Some(done)) => Some(done??),
            Err(_) => None,
        };
        progress(shared.records.load(Ordering::Relaxed));
        // What was too much for one partition is too much for the next.
        parts = parts.max(done.unwrap_or(1));
    }
    follower.store.remove_letters_of_deleted().await?;
    follower
        .folded_in_bulk(shared.records.load(Ordering::Relaxed), shared.parked.load(Ordering::Relaxed))
        .await
}

/// What the jobs share.
struct Shared {
    settings: Settings,
    partition_count: u32,
    store: Store,
    epochs: Epochs,
    discarded: Discarded,
    /// Whether an earlier attempt may have left rows.
    is_resumed: bool,
    /// How many partitions are folded at the same time.
    jobs: usize,
    /// Folded records.
    records: AtomicU64,
    /// Parked users.
    parked: AtomicUsize,
    max_parked: usize,
    pace: Arc<Pace>,
}

impl Shared {
    fn new(follower: &Follower<'_>, is_resumed: bool) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            settings: follower.settings.clone(),
            partition_count: follower.partition_count,
            store: follower.store.clone(),
            epochs: follower.epochs.clone(),
            discarded: follower.discarded.clone(),
            is_resumed,
            jobs: cores.clamp(1, 4),
            records: AtomicU64::new(0),
            parked: AtomicUsize::new(0),
            max_parked: follower.max_parked,
            pace: follower.pace.clone(),
        }
    }
}

/// The partitions of which nothing is folded.
fn jobs<'j>(
    follower: &'j Follower<'_>,
    source: &'j Source<'_>,
    to: &'j Offsets,
    shared: &'j Arc<Shared>,
) -> impl Iterator<Item = PartitionJob> + 'j {
    let numbers = to.keys().filter(|(topic, _)| *topic == Topic::Users).map(|(_, partition)| *partition);
    numbers.filter_map(|partition| {
        let range = |topic| {
            let from = follower.next_offsets.get(&(topic, partition)).copied()?;
            Some(((topic, partition), from..to.get(&(topic, partition)).copied()?.max(from)))
        };
        let ranges: BTreeMap<_, _> = Topic::ALL.into_iter().filter_map(range).collect();
        let is_new = ranges.iter().all(|(place, range)| range.start == source.first_offset(*place));
        let is_empty = ranges.values().all(Range::is_empty);
        (is_new && !is_empty).then(|| PartitionJob { shared: shared.clone(), partition, ranges })
    })
}

/// Both topics' records of a partition.
struct PartitionJob {
    shared: Arc<Shared>,
    partition: i32,
    ranges: BTreeMap<Partition, Range<i64>>,
}

impl PartitionJob {
    /// Folds the partition in at least `parts` passes. Returns in how many.
    async fn run(self, parts: u64) -> anyhow::Result<u64> {
        if self.shared.is_resumed {
            // The former attempt may have been killed between two passes.
            self.shared.store.clear_partition(self.partition).await?;
        }
        let mut part = KeyPart::first(parts);
        loop {
            let Some(pass) = self.pass(part).await? else {
                part = part.half().unwrap_or(part);
                continue;
            };
            let (effects, users) = pass.finish();
            match self.shared.store.copy(self.at(effects, part.is_last()), users, &self.shared.epochs).await {
                Ok(()) => failpoint::hit("rebuild.copied"),
                Err(error) if sql_error::is_data_refused(&error) => {
                    self.shared.store.clear_partition(self.partition).await?;
                    return Ok(part.parts());
                }
                Err(error) => anyhow::bail!("copying a partition failed ({})", sql_error::reason(&error)),
            }
            if part.is_last() {
                return Ok(part.parts());
            }
            part = part.next();
        }
    }

    /// The checkpoints move with the last pass.
    fn at(&self, mut effects: Effects, is_last: bool) -> Effects {
        if !is_last {
            for (place, span) in &mut effects.spans {
                (span.next, span.time) = (self.ranges[place].start, None);
            }
        }
        effects
    }

    /// Folds the records of a part of the users. `None`: they need too much memory.
    async fn pass(&self, part: KeyPart) -> anyhow::Result<Option<Pass>> {
        let Shared { settings, partition_count, jobs, .. } = &*self.shared;
        let ranges = self.ranges.clone().into_iter().filter(|(_, range)| !range.is_empty()).collect();
        let mut steps = replay_part(settings, *partition_count, ranges, move |key| part.has(key))?;
        let mut pass = Pass::new(&self.ranges);
        while let Some(step) = steps.recv().await {
            match step? {
                Step::Record(record) => pass.add(self.shared.discarded.apply(*record)),
                Step::Reached(partition, next) => pass.reached(partition, next),
            }
            if pass.is_full() {
                self.fold(&mut pass).await?;
                if !pass.fits_into(MEMORY / jobs) && part.half().is_some() {
                    self.shared.records.fetch_sub(pass.records, Ordering::Relaxed);
                    return Ok(None);
                }
            }
        }
        self.fold(&mut pass).await?;
        let parked = pass.parked();
        let all = self.shared.parked.fetch_add(parked, Ordering::Relaxed) + parked;
        anyhow::ensure!(all <= self.shared.max_parked, TooManyParked);
        Ok(Some(pass))
    }

    async fn fold(&self, pass: &mut Pass) -> anyhow::Result<()> {
        let folded = pass.fold(&self.shared.store.keys).await?;
        self.shared.records.fetch_add(folded, Ordering::Relaxed);
        self.shared.pace.keep(folded).await;
        Ok(())
    }
}
