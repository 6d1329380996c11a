//! `rollcall projection status`

use super::{
    super::{
        print,
        table::{Table, cell},
    },
    further::{self, Name},
};
use crate::settings;
use event_log::Cut;
use events_schema::Partition as LogPartition;
use projector::{PartitionStatus, Pause, WaitingLetters, projections::ProjectionStatus};
use read_model::generation::GenerationState;
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};
use time::OffsetDateTime;

/// Show how far the live generation is folded, partition by partition
///
/// next: the first offset that is not folded. redis: the cache's generation, and the first offset that is
/// not in it. seconds: the age of the last folded record while others wait. rate: records folded per
/// second, measured now. open: offsets behind an open transaction, which nobody can read yet and which are
/// not part of the lag. owner: the projector that took the partition over last.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    name: Name,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How long the rate is measured.
const SAMPLE: Duration = Duration::from_secs(1);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    /// The pause, if folding is paused.
    paused: Option<Pause>,
    generation: Option<i32>,
    /// The fold that has made the live generation.
    fold_version: Option<i32>,
    /// What to do if that is an older one than this release has.
    note: Option<String>,
    /// Partitions that do not begin at offset 0. `None` if Kafka does not answer.
    cuts: Option<Vec<Cut>>,
    /// Records that are not folded yet. `None` if Kafka does not answer.
    lag: Option<i64>,
    /// Offsets behind open transactions.
    waiting: i64,
    /// Dead letters, and parked users.
    set_aside: WaitingLetters,
    /// Records folded per second.
    rate: f64,
    partitions: Vec<Partition>,
    /// The projections beside the users.
    projections: Vec<ProjectionStatus>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Partition {
    #[serde(flatten)]
    status: PartitionStatus,
    lag_seconds: Option<i64>,
    rate: f64,
}

pub(crate) async fn status(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    if let Some(name) = &args.name.projection {
        let status = projector::projections::status(&settings, name).await?;
        return further::status::print_status(&status, args.json);
    }
    let rates = projector::rates(&settings, SAMPLE);
    let (rates, partitions) = tokio::try_join!(rates, projector::status(&settings))?;
    let mut status = Status::of(&rates, partitions);
    status.paused = projector::paused(&settings).await?;
    status.cuts = event_log::cuts(&settings).await.ok();
    status.set_aside = projector::waiting_letters(&settings).await?;
    let live =
        projector::generations(&settings).await?.into_iter().find(|one| one.state == GenerationState::Live);
    status.fold_version = live.map(|live| live.fold_version);
    status.note = projector::older_fold(&settings).await?;
    status.projections = projector::projections::all(&settings).await?;
    anyhow::ensure!(status.generation.is_some(), "there is no live generation: run `rollcall migrate` first");
    if args.json {
        return print(serde_json::to_string(&status)?);
    }
    if let Some(paused) = &status.paused {
        print(format_args!("{}\n", super::in_words(paused)))?;
    }
    if let Some(note) = &status.note {
        print(format_args!("{note}\n"))?;
    }
    let cuts = status.cuts.as_deref().unwrap_or_default();
    if !cuts.is_empty() {
        print(format_args!("{}\n", event_log::describe_cuts(cuts)))?;
    }
    print(table(&status))?;
    for line in open_transactions(&status).chain(status.set_aside.summary()) {
        print(line)?;
    }
    for line in status.projections.iter().flat_map(further::status::standstill) {
        print(line)?;
    }
    for failure in projector::projections::failures(&settings).await? {
        print(further::status::in_words(&failure))?;
    }
    print(format_args!(
        "\ngeneration {}, lag {} records, {:.0} records/s",
        cell(status.generation),
        cell(status.lag),
        status.rate
    ))
}

impl Status {
    fn of(rates: &BTreeMap<LogPartition, f64>, partitions: Vec<PartitionStatus>) -> Self {
        let now = OffsetDateTime::now_utc();
        let generation = partitions.first().map(|status| status.generation);
        let rate = |status: &PartitionStatus| rates.get(&(status.topic, status.partition)).copied();
        let partition = |status: PartitionStatus| Partition {
            rate: rate(&status).unwrap_or_default(),
            lag_seconds: lag_seconds(&status, now),
            status,
        };
        let partitions: Vec<_> = partitions.into_iter().map(partition).collect();
        let lag = partitions.iter().map(|partition| partition.status.lag).sum();
        let rate = partitions.iter().map(|partition| partition.rate).sum();
        let open = partitions.iter().filter_map(|partition| partition.status.open_transaction.as_ref());
        let waiting = open.map(|open| open.waiting).sum();
        let set_aside = WaitingLetters::default();
        Self {
            paused: None,
            cuts: None,
            generation,
            fold_version: None,
            note: None,
            lag,
            waiting,
            set_aside,
            rate,
            partitions,
            projections: Vec::new(),
        }
    }
}

/// The open transactions, one line for each partition that has one.
fn open_transactions(status: &Status) -> impl Iterator<Item = String> {
    let partitions = status.partitions.iter().map(|partition| &partition.status);
    partitions.filter_map(|PartitionStatus { topic, partition, open_transaction, .. }| {
        Some(format!("{topic} partition {partition}: {}", open_transaction.as_ref()?))
    })
}

fn lag_seconds(status: &PartitionStatus, now: OffsetDateTime) -> Option<i64> {
    match status.lag? {
        0 => Some(0),
        _ => Some((now - status.record_time?).whole_seconds().max(0)),
    }
}

fn table(status: &Status) -> Table {
    let mut table = Table::new([
        "topic",
        "partition",
        "next",
        "redis",
        "end",
        "lag",
        "open",
        "seconds",
        "rate",
        "epoch",
        "owner",
    ]);
    for Partition { status, lag_seconds, rate } in &status.partitions {
        table.row([
            status.topic.to_string(),
            status.partition.to_string(),
            status.next_offset.to_string(),
            cell(status.redis_next),
            cell(status.log_end),
            cell(status.lag),
            cell(status.open_transaction.as_ref().map(|open| open.waiting)),
            cell(*lag_seconds),
            format!("{rate:.0}"),
            status.epoch.to_string(),
            cell(status.owner.as_deref()),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use events_schema::Topic;

    fn at(generation: i32, next_offset: i64, lag: Option<i64>) -> PartitionStatus {
        PartitionStatus {
            topic: Topic::Users,
            partition: 3,
            generation,
            next_offset,
            log_end: lag.map(|lag| next_offset + lag),
            lag,
            open_transaction: None,
            epoch: 1,
            owner: None,
            owned_since: None,
            record_time: Some(OffsetDateTime::UNIX_EPOCH),
            redis_next: None,
        }
    }

    #[test]
    fn the_whole_is_the_sum_of_the_partitions() {
        let rates = BTreeMap::from([((Topic::Users, 3), 30.0)]);
        let status = Status::of(&rates, vec![at(1, 25, Some(2))]);
        assert_eq!((status.generation, status.lag, status.rate), (Some(1), Some(2), 30.0));
        assert_eq!(Status::of(&BTreeMap::new(), vec![at(2, 25, None)]).rate, 0.0);
    }

    #[test]
    fn there_is_no_lag_without_waiting_records() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(90);
        assert_eq!(lag_seconds(&at(1, 10, Some(0)), now), Some(0));
        assert_eq!(lag_seconds(&at(1, 10, Some(5)), now), Some(90));
        assert_eq!(lag_seconds(&at(1, 10, None), now), None);
    }
}
