//! Reads the records of a round from the log.

use crate::pipeline::Batch;
use event_log::replay::{LostOffsets, Step, replay};
use events_schema::Topic;
use read_model::projections::round::Round;
use service_kit::settings::Settings;
use std::{collections::BTreeMap, ops::Range};
use tokio::sync::mpsc::Receiver;

/// Reads these offsets of `users.events`.
pub(super) fn read(
    settings: &Settings,
    round: &Round,
    ranges: impl Iterator<Item = (i32, Range<i64>)>,
) -> anyhow::Result<Receiver<anyhow::Result<Step>>> {
    let partitions = u32::try_from(round.ranges.len())?;
    replay(
        settings,
        partitions,
        ranges.map(|(partition, range)| ((Topic::Users, partition), range)).collect(),
    )
}

/// Collects up to `size` records, or all that are left. A batch takes a transaction, so a few large
/// ones cost much less than many small ones. `next` is where each partition is.
pub(super) async fn collect(
    first: anyhow::Result<Step>,
    steps: &mut Receiver<anyhow::Result<Step>>,
    next: &BTreeMap<i32, i64>,
    size: usize,
) -> anyhow::Result<Batch> {
    let mut batch = Batch::default();
    let mut step = Some(first);
    while let Some(taken) = step {
        let from = |partition: i32| next.get(&partition).copied().unwrap_or_default();
        match taken? {
            Step::Record(record) => {
                let from = from(record.partition.1);
                batch.push(*record, from);
            }
            Step::Reached(place, end) => batch.advance(place, from(place.1), end),
        }
        let is_full = batch.is_full() || batch.len() >= size;
        step = if is_full { None } else { steps.recv().await };
    }
    Ok(batch)
}

/// Says what to do if the log has lost its beginning.
pub(super) fn explain(error: anyhow::Error, projection: &str) -> anyhow::Error {
    if !error.is::<LostOffsets>() {
        return error;
    }
    error.context(format!(
        "the log does not have its beginning any more: `rollcall projection rebuild --projection {projection} --from-cut --promote \
         --unverified` folds the rest"
    ))
}
