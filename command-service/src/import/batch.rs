//! Reads a batch of lines.

use super::{
    BadLine, ImportedEvent, Kind, Progress, credentials,
    lines::{Line, Lines},
    users,
};
use events_schema::TenantId;
use key_store::DataKey;
use service_kit::json::{Refusal, Refusals};
use std::io::BufRead;

/// The size of a batch, in lines and in bytes. A batch is looked up and appended together.
const BATCH_LINES: usize = 1_000;
const BATCH_BYTES: u64 = 4 * 1024 * 1024;
/// The maximum length of a line in bytes.
pub(super) const MAX_LINE_BYTES: usize = 256 * 1024;

/// The events of a batch of lines, and whether the input ends with it.
pub(super) struct Batch {
    pub(super) events: Vec<ImportedEvent>,
    pub(super) is_end: bool,
}

pub(super) fn read_batch(
    lines: &mut Lines<impl BufRead>,
    tenant: &TenantId,
    kind: Kind,
    id_secret: &DataKey,
    progress: &mut Progress,
    bad: &mut Vec<BadLine>,
) -> std::io::Result<Batch> {
    let mut batch = Batch { events: Vec::new(), is_end: false };
    while batch.events.len() < BATCH_LINES && lines.bytes() - progress.bytes < BATCH_BYTES {
        let Some((number, line)) = lines.next()? else {
            batch.is_end = true;
            break;
        };
        if matches!(line, Line::Text(text) if text.trim_ascii().is_empty()) {
            continue;
        }
        progress.read += 1;
        match event(line, tenant, kind, id_secret, number) {
            Ok(event) => batch.events.push(event),
            Err(refusals) => progress.refuse(bad, number, reason(refusals.first())),
        }
    }
    progress.bytes = lines.bytes();
    Ok(batch)
}

fn event(
    line: Line<'_>,
    tenant: &TenantId,
    kind: Kind,
    id_secret: &DataKey,
    number: u64,
) -> Result<ImportedEvent, Refusals> {
    match (line, kind) {
        (Line::TooLong, _) => Err(Refusal { path: String::new(), msg: "Longer than 256 KiB" }.into()),
        (Line::Text(text), Kind::Users) => users::event(text, tenant, id_secret, number),
        (Line::Text(text), Kind::Credentials) => credentials::event(text, tenant, number),
    }
}

/// Names the path and what is wrong, but never the value.
fn reason(refusal: Refusal) -> String {
    match refusal {
        Refusal { path, msg } if path.is_empty() => msg.to_owned(),
        Refusal { path, msg } => format!("{path}: {msg}"),
    }
}
