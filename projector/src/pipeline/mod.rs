//! The pipeline: takes one batch after another from the log to the readers.
//!
//! The consumer's thread polls and decodes (`consume/thread.rs`); then: collect, load, fold,
//! commit, publish.

pub(crate) mod assignment;
mod batch;
mod commit;
pub(crate) mod consume;
mod discarded;
mod erase;
mod fold;
mod load;
mod one_by_one;
pub(crate) mod parking_limit;
mod prepare;
mod progress;
mod publish;
mod remembered;

pub use batch::Batch;
pub(crate) use discarded::Discarded;
pub use fold::{Fold, fold, parked_queue::ParkedQueue};
pub use load::States;
pub(crate) use load::load;
pub use remembered::RememberedUsers;

use self::{
    commit::CommitOutcome,
    consume::{ConsumerEvent, ConsumerState, EventQueue},
    prepare::Prepared,
};
use crate::stop::{Interrupt, StopSignal};
use event_log::identity::LogIdentity;
use events_schema::Partition;
use futures_util::FutureExt as _;
use privacy::Vacuum;
use read_model::write::{Cache, Store, ownership::Epochs};
use std::{collections::BTreeMap, time::Duration};
use time::OffsetDateTime;

/// How long PostgreSQL may take to answer. The checkpoints tell whether a commit without an answer
/// took place.
pub(crate) const DATABASE_TIMEOUT: Duration = Duration::from_secs(10);

/// The state that the steps work on.
pub(crate) struct Pipeline {
    pub(crate) store: Store,
    pub(crate) stop: StopSignal,
    pub(crate) consumer: ConsumerState,
    pub(crate) identity: LogIdentity,
    pub(crate) cache: Cache,
    pub(crate) epochs: Epochs,
    /// The partitions that this process owns, each with the first offset that is not folded yet.
    pub(crate) owned: BTreeMap<Partition, i64>,
    /// Users of the owned partitions that need not be loaded.
    pub(crate) remembered: RememberedUsers,
    /// Kafka's time of the last folded record.
    pub(crate) record_times: BTreeMap<Partition, OffsetDateTime>,
    /// The number of partitions of each topic.
    pub(crate) partition_count: u32,
    pub(crate) discarded: Discarded,
    pub(crate) vacuum: Vacuum,
    /// How many records the last batch had.
    pub(crate) last_batch: usize,
    /// Up to where records are folded one by one, because a batch of them could not be committed.
    pub(crate) one_by_one: BTreeMap<Partition, i64>,
}

impl Pipeline {
    /// Runs all steps on the queued records. If an assignment event ends the batch, returns that
    /// event.
    pub(crate) async fn run(
        &mut self,
        first: ConsumerEvent,
        events: &mut EventQueue,
    ) -> Result<Option<ConsumerEvent>, Interrupt> {
        let (batch, next_event) = self.collect_batch(first, events).await;
        if !batch.is_empty() {
            self.project(batch).boxed_local().await?;
        }
        Ok(next_event)
    }

    /// Folds a batch of decoded records and commits it exactly once, even if steps fail and are
    /// repeated.
    ///
    /// Each step is boxed and unsized. Otherwise the compiler puts all steps into one function,
    /// whose frame takes most of the thread's stack.
    async fn project(&mut self, batch: Batch) -> Result<(), Interrupt> {
        let records = batch.len();
        let batch_of_one = self.is_one_by_one().then(|| batch.clone());
        let Prepared { mut effects, cache_time, commit } = self.prepare(batch).boxed_local().await?;
        let outcome = match self.outcome_of(commit, &effects).boxed_local().await? {
            Some(outcome) => outcome,
            None if self.is_within_parking_limit(&effects).await? => {
                self.commit(&mut effects, cache_time.as_ref()).boxed_local().await?
            }
            None => return self.park_one_by_one(&effects),
        };
        if outcome != CommitOutcome::Committed {
            self.remembered.clear();
        }
        match outcome {
            CommitOutcome::Committed => {
                self.publish(effects, records, cache_time.as_ref()).boxed_local().await
            }
            CommitOutcome::Refused => self.retry_one_by_one(&effects, batch_of_one).boxed_local().await,
            CommitOutcome::FencedOff => self.handle_fenced_off().boxed_local().await,
        }
    }
}
