//! Waits until the imported records are visible, as long as the projector makes progress.

use super::{BlockingTransaction, Kind, appender::Reached};
use anyhow::{bail, ensure};
use read_model::read::import::topic_positions;
use service_kit::{kafka, settings::Settings};
use sqlx::PgPool;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// The pause between two queries.
const QUERY_INTERVAL: Duration = Duration::from_millis(50);
/// How long to wait without progress.
const STALL_TIMEOUT: Duration = Duration::from_secs(120);
/// How long to wait without progress before looking for open transactions, and the interval between
/// lookups.
const TRANSACTION_INTERVAL: Duration = Duration::from_secs(2);
pub(super) const LOG_REPLACED: &str = "everything is in the log, but it is not the log that was folded, so it may or may not take effect: \
    see `rollcall projection status`";

/// How far the live generation has been folded.
#[derive(Debug, Default)]
pub(super) struct Positions {
    /// The epoch of the log that it is folded from.
    epoch: i32,
    /// The first offset of each partition that is not visible yet.
    next: HashMap<u32, i64>,
}

impl Positions {
    /// The number of partitions of the log.
    pub(super) fn partitions(&self) -> anyhow::Result<u32> {
        Ok(u32::try_from(self.next.len())?)
    }

    fn of(&self, partition: u32) -> i64 {
        self.next.get(&partition).copied().unwrap_or_default()
    }
}

/// Reads how far the live generation has been folded.
pub(super) async fn positions(pool: &PgPool, kind: Kind) -> anyhow::Result<Positions> {
    let topic = match kind {
        Kind::Users => "users",
        Kind::Credentials => "credentials",
    };
    let mut positions = Positions::default();
    for position in topic_positions(pool, topic).await? {
        positions.epoch = position.epoch;
        positions.next.insert(position.partition.try_into()?, position.next_offset);
    }
    Ok(positions)
}

/// Waits until every offset is visible. Reports from time to time how many are left, and which
/// transactions of other producers block them. `before` is the position before the first append.
pub(super) async fn until_visible(
    (settings, pool): (&Settings, &PgPool),
    kind: Kind,
    before: &Positions,
    reached: &Reached,
    mut on_left: impl FnMut(u64, &[BlockingTransaction]),
) -> anyhow::Result<()> {
    let is_behind = reached.iter().any(|(partition, offset)| *offset < before.of(*partition));
    ensure!(!is_behind, LOG_REPLACED);
    let mut waiting =
        Waiting { least: u64::MAX, progressed_at: Instant::now(), checked: Instant::now(), held: Vec::new() };
    loop {
        match positions(pool, kind).await {
            Ok(positions) => {
                ensure!(positions.epoch == before.epoch, LOG_REPLACED);
                let left = left(&positions, reached);
                if waiting.must_explain(left) {
                    waiting.held = open_transactions(settings, kind, &positions, reached).await;
                }
                on_left(left, &waiting.held);
                if left == 0 {
                    return Ok(());
                }
            }
            Err(error) => tracing::warn!(
                error = service_kit::errors::describe_error(error.as_ref()),
                "the read model's position can't be read"
            ),
        }
        if waiting.progressed_at.elapsed() > STALL_TIMEOUT {
            bail!("{}", stalled(&waiting.held));
        }
        tokio::time::sleep(QUERY_INTERVAL).await;
    }
}

/// The progress of the projector while an import waits for it.
struct Waiting {
    /// The smallest number of records left so far.
    least: u64,
    progressed_at: Instant,
    /// When open transactions were last looked for.
    checked: Instant,
    held: Vec<BlockingTransaction>,
}

impl Waiting {
    /// Notes how many records are left. Returns whether it is time to look for open transactions.
    fn must_explain(&mut self, left: u64) -> bool {
        if left < self.least {
            (self.least, self.progressed_at) = (left, Instant::now());
            self.held.clear();
        }
        let is_due = left > 0
            && self.progressed_at.elapsed() > TRANSACTION_INTERVAL
            && self.checked.elapsed() > TRANSACTION_INTERVAL;
        if is_due {
            self.checked = Instant::now();
        }
        is_due
    }
}

/// The open transactions in partitions where imported records are not visible yet.
async fn open_transactions(
    settings: &Settings,
    kind: Kind,
    positions: &Positions,
    reached: &Reached,
) -> Vec<BlockingTransaction> {
    let topic = kind.topic(settings);
    let awaited = reached.iter().filter(|(partition, offset)| positions.of(**partition) <= **offset);
    let awaited = awaited.filter_map(|(partition, _)| i32::try_from(*partition).ok()).collect();
    let held =
        |(partition, transaction)| BlockingTransaction { topic: topic.clone(), partition, transaction };
    match kafka::open_transactions(settings, &topic, awaited).await {
        Ok(found) => found.into_iter().map(held).collect(),
        Err(error) => {
            tracing::warn!(
                error = service_kit::errors::describe_error(error.as_ref()),
                "the log can't be queried for open transactions"
            );
            Vec::new()
        }
    }
}

fn stalled(held: &[BlockingTransaction]) -> String {
    let seconds = STALL_TIMEOUT.as_secs();
    match held.first() {
        None => format!(
            "everything is in the log, but the projector has not moved for {seconds} s: is it running? It will catch up by itself"
        ),
        Some(held) => format!(
            "everything is in the log, but not visible yet after {seconds} s: {held}. It becomes visible by itself once that transaction ends"
        ),
    }
}

fn left(positions: &Positions, reached: &Reached) -> u64 {
    let of = |partition: u32, offset: i64| u64::try_from(offset + 1 - positions.of(partition)).unwrap_or(0);
    reached.iter().map(|(partition, offset)| of(*partition, *offset)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_not_visible_yet() {
        let reached = Reached::from([(0, 9), (3, 4)]);
        let left = |next: &[(u32, i64)], reached| {
            left(&Positions { epoch: 1, next: next.iter().copied().collect() }, reached)
        };
        assert_eq!(left(&[], &reached), 15);
        assert_eq!(left(&[(0, 9), (1, 0), (3, 5)], &reached), 1);
        assert_eq!(left(&[(0, 10), (3, 77)], &reached), 0);
        assert_eq!(left(&[], &Reached::new()), 0);
    }
}
