//! Whether the log still covers the offsets that are folded.

use event_log::{Halt, log_ends::Ends};
use events_schema::Partition;
use std::collections::BTreeMap;

/// Checks that no record was deleted before it was folded, and that the log reaches the folded
/// offsets.
pub(super) fn check_ends(
    offsets: &BTreeMap<Partition, i64>,
    ends: &BTreeMap<Partition, Ends>,
) -> Result<(), Halt> {
    check_beginnings(offsets, ends)?;
    let short = offsets.iter().find_map(|(partition, next)| {
        let ends = ends.get(partition)?;
        (ends.high < *next).then_some((partition, next, ends))
    });
    match short {
        None => Ok(()),
        Some(((topic, partition), next, Ends { low, high })) => Err(Halt(format!(
            "the log is not the one that was folded: {topic} partition {partition} is folded up to offset {next}, \
             the log has {low} to {high}. Restore the log, then `rollcall projection resume`. If that is impossible, \
             `rollcall log copy` makes a new log of what is left, which can be folded by itself; docs/operate.md shows the way"
        ))),
    }
}

fn check_beginnings(
    offsets: &BTreeMap<Partition, i64>,
    ends: &BTreeMap<Partition, Ends>,
) -> Result<(), Halt> {
    let cut = |(partition, next): (&Partition, &i64)| {
        let low = ends.get(partition)?.low;
        (low > *next)
            .then(|| format!("{} partition {} offsets {next} to {}", partition.0, partition.1, low - 1))
    };
    let cuts: Vec<_> = offsets.iter().filter_map(cut).collect();
    if cuts.is_empty() {
        return Ok(());
    }
    Err(Halt(format!(
        "the log was cut past what is folded: {} are gone and were never folded. Restore the log, then `rollcall projection \
         resume`. If that is impossible, `rollcall projection accept-cut` shows what is lost, and accepts the loss if you confirm it",
        cuts.join(", ")
    )))
}
