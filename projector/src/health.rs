//! The projector's entries in the health report.

use crate::{
    dead_letter_counts::Counted,
    pipeline::consume::{ConsumerState, locked},
};
use futures_util::FutureExt as _;
use service_kit::{health::Health, instance};
use std::sync::atomic::Ordering;
use tokio::sync::watch;

/// What the projector is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProjectorState {
    /// Not folding yet.
    Starting,
    /// Folding.
    Running,
    /// Stopped until an operator acts, for this reason.
    Stopped(String),
}

/// Where the entries come from.
pub(crate) struct Sources {
    /// The log's consumer.
    pub(crate) consumer: ConsumerState,
    /// The counts of dead letters.
    pub(crate) dead_letters: Counted,
    /// What the projector is doing.
    pub(crate) state: watch::Receiver<ProjectorState>,
}

/// Adds the projector's checks and notes to the health report.
pub(crate) fn register(health: &Health, sources: Sources) {
    let Sources { consumer, dead_letters, state } = sources;
    register_notes(health, consumer.clone(), dead_letters);
    let is_connected = consumer.is_connected.clone();
    health.add("kafka", move || {
        let is_connected = is_connected.load(Ordering::Relaxed);
        async move { if is_connected { Ok(()) } else { Err("not connected".to_owned()) } }.boxed()
    });
    health.add("projector", move || {
        let problem = match &*state.borrow() {
            ProjectorState::Running => consumer.missing(),
            ProjectorState::Starting => Some("starting".to_owned()),
            ProjectorState::Stopped(reason) => Some(reason.clone()),
        };
        async move { problem.map_or(Ok(()), Err) }.boxed()
    });
}

fn register_notes(health: &Health, consumer: ConsumerState, dead_letters: Counted) {
    let for_transactions = consumer.clone();
    health.note("openTransactions", move || for_transactions.open_transactions().describe());
    health.note("deadLetters", move || locked(&dead_letters).summary());
    health.note("partitions", move || {
        let owned: Vec<_> =
            consumer.folded().keys().map(|(topic, partition)| format!("{topic} {partition}")).collect();
        (!owned.is_empty()).then(|| format!("{} owns {}", instance::name(), owned.join(", ")))
    });
}
