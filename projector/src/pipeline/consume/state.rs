//! What the consumer's thread and the pipeline share.

use super::open_transactions::OpenTransactions;
use crate::catch_up::CatchUp;
use events_schema::Partition;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// Offsets by partition.
type Offsets = BTreeMap<Partition, i64>;

/// The shared state. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct ConsumerState {
    pub(super) stop: Arc<AtomicBool>,
    pub(super) rejoin: Arc<AtomicBool>,
    pub(super) reassign: Arc<AtomicBool>,
    /// Whether a broker is reachable.
    pub(crate) is_connected: Arc<AtomicBool>,
    /// What had to be folded when the partitions were taken over.
    pub(crate) catch_up: CatchUp,
    folded: Arc<Mutex<Offsets>>,
    ends: Arc<Mutex<Offsets>>,
    open_transactions: Arc<Mutex<OpenTransactions>>,
}

impl ConsumerState {
    /// The first offset that is not folded, of each owned partition.
    pub(crate) fn folded(&self) -> MutexGuard<'_, Offsets> {
        locked(&self.folded)
    }

    /// The ends of the partitions.
    pub(crate) fn ends(&self) -> MutexGuard<'_, Offsets> {
        locked(&self.ends)
    }

    /// The open transactions of other producers.
    pub(crate) fn open_transactions(&self) -> MutexGuard<'_, OpenTransactions> {
        locked(&self.open_transactions)
    }

    /// Leaves the group and joins it again: another instance has taken partitions over, so the
    /// group knows who owns them.
    pub(crate) fn rejoin(&self) {
        self.rejoin.store(true, Ordering::Relaxed);
    }

    /// Assigns the same partitions again, to be read from other offsets.
    pub(crate) fn reassign(&self) {
        self.reassign.store(true, Ordering::Relaxed);
    }

    /// What is missing until the records are folded that were in the log at the last takeover.
    pub(crate) fn missing(&self) -> Option<String> {
        self.catch_up.missing(&self.folded())
    }
}

/// Locks a mutex, even if a thread panicked while it held the lock.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
