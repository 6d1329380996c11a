//! `rollcall projection status --projection NAME`

use super::{
    super::super::{
        print,
        table::{Table, cell},
    },
    list,
};
use events_schema::millis;
use projector::projections::{ProjectionFailure, ProjectionStatus};

/// Prints the status of a projection.
pub(in super::super) fn print_status(status: &ProjectionStatus, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        return print(serde_json::to_string(status)?);
    }
    if let Some(paused) = &status.paused {
        print(format_args!("{}\n", super::super::in_words(paused)))?;
    }
    if let Some(note) = &status.note {
        print(format_args!("{note}\n"))?;
    }
    for failure in &status.failures {
        print(format_args!("{}\n", in_words(failure)))?;
    }
    let mut table = Table::new(["partition", "next", "users", "lag"]);
    for partition in &status.partitions {
        table.row([
            partition.partition.to_string(),
            partition.next_offset.to_string(),
            cell(partition.users_next),
            cell(partition.lag),
        ]);
    }
    print(table)?;
    print(format_args!("\n{}", list::table(&status.generations)))?;
    print(format_args!(
        "\nprojection {}, generation {}, lag {} offsets",
        status.projection,
        cell(status.generation),
        cell(status.lag)
    ))
}

/// Why a projection stands still although it does not fail: a line for each reason.
pub(in super::super) fn standstill(status: &ProjectionStatus) -> Vec<String> {
    let name = status.projection;
    let paused = status.paused.as_ref().map(super::super::in_words);
    let paused = paused.map(|paused| format!("projection {name} is {paused}"));
    let note = status.note.as_ref().map(|note| format!("projection {name}: {note}"));
    paused.into_iter().chain(note).collect()
}

/// A failure, in one line.
pub(in super::super) fn in_words(failure: &ProjectionFailure) -> String {
    let ProjectionFailure { projection, generation, reason, record, since, .. } = failure;
    let at = record.as_ref().map(|record| format!(" at record {record}")).unwrap_or_default();
    format!("projection {projection}, generation {generation}, fails since {}{at}: {reason}", millis(*since))
}
