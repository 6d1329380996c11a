//! Accepts a cut for an operator: records that were deleted before they were folded are left out,
//! and folding continues behind them.

use anyhow::Context as _;
use event_log::{
    cuts::{Cut, cuts_of_log},
    identity::LogIdentity,
    log_ends::{self, Ends, name_of},
};
use events_schema::Partition;
use read_model::{
    generation,
    locks::lock_schema,
    operate::{
        checkpoints,
        cuts::record_accepted,
        logs,
        pause::{self, PausedBy},
    },
    write::ownership,
};
use service_kit::{kafka::Topics, settings::Settings};
use sqlx::{PgConnection, PgPool};
use std::{collections::BTreeMap, fmt};

/// Offsets that were deleted before they were folded. Their records have no effect.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LostRange {
    /// The topic's name in Kafka.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first lost offset.
    pub from: i64,
    /// The first offset that is left.
    pub to: i64,
}

impl LostRange {
    /// The number of lost offsets: records and transaction markers.
    #[must_use]
    pub fn offsets(&self) -> i64 {
        self.to - self.from
    }
}

impl fmt::Display for LostRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, from, to } = self;
        write!(f, "{topic} partition {partition}: offsets {from} to {} ({})", to - 1, self.offsets())
    }
}

/// The cuts of the log, and whether they are accepted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedCut {
    /// The partitions that do not begin at 0.
    pub cuts: Vec<Cut>,
    /// The offsets that are lost without having been folded.
    pub lost: Vec<LostRange>,
    /// The number of lost offsets.
    pub lost_offsets: i64,
    /// Whether the cuts are accepted now.
    pub accepted: bool,
}

/// Reports what the log has lost. Accepts it if `lose` is the number of lost offsets: the live
/// generation then continues behind them.
///
/// # Errors
/// It is another log, the number is wrong, or Kafka or PostgreSQL fails. Nothing has changed then.
pub async fn accept_cut(settings: &Settings, lose: Option<i64>) -> anyhow::Result<AcceptedCut> {
    let pool = read_model::pool(settings)?;
    let accepted = accept(settings, &pool, lose).await;
    pool.close().await;
    accepted
}

async fn accept(settings: &Settings, pool: &PgPool, lose: Option<i64>) -> anyhow::Result<AcceptedCut> {
    let mut transaction = pool.begin().await?;
    lock_schema(&mut transaction).await?;
    let live = generation::live(&mut transaction)
        .await?
        .context("there is no live generation: run `rollcall migrate` first")?;
    LogIdentity::new(settings)?.compare(pool, live).await?.require_same()?;
    let ends = log_ends::all_ends(settings).await?;
    let cuts = cuts_of_log(settings, &mut transaction).await?;
    let lost = lost_offsets(&mut transaction, live, &ends).await?;
    let report = report(settings, cuts, &lost);
    let Some(lose) = lose else { return Ok(report) };
    anyhow::ensure!(
        lose == report.lost_offsets,
        "{} offsets are lost, not {lose}: nothing was changed. Check the cuts again",
        report.lost_offsets
    );
    record_cuts(&mut transaction, live, &ends, &lost).await?;
    move_checkpoints(&mut transaction, live, &lost).await?;
    pause::delete(&mut transaction, PausedBy::Log).await?;
    transaction.commit().await?;
    let cuts = report.cuts.into_iter().map(|cut| Cut { accepted: true, ..cut }).collect();
    Ok(AcceptedCut { cuts, accepted: true, ..report })
}

/// The lost offsets of a partition: the first one, and the first one that is left.
type Lost = BTreeMap<Partition, (i64, i64)>;

/// The offsets between the checkpoints and the beginnings of the partitions. Locks the checkpoints.
async fn lost_offsets(
    connection: &mut PgConnection,
    live: i32,
    ends: &BTreeMap<Partition, Ends>,
) -> anyhow::Result<Lost> {
    let partitions: Vec<Partition> = ends.keys().copied().collect();
    let checkpoints = ownership::lock(connection, live, &partitions).await?;
    let lost = |(partition, ends): (&Partition, &Ends)| {
        let next = checkpoints.get(partition)?.next_offset;
        (ends.low > next).then_some((*partition, (next, ends.low)))
    };
    Ok(ends.iter().filter_map(lost).collect())
}

fn report(settings: &Settings, cuts: Vec<Cut>, lost: &Lost) -> AcceptedCut {
    let topics = Topics::new(&settings.topic_prefix);
    let range = |((topic, partition), (from, to)): (&Partition, &(i64, i64))| LostRange {
        topic: name_of(&topics, *topic).to_owned(),
        partition: *partition,
        from: *from,
        to: *to,
    };
    let lost: Vec<_> = lost.iter().map(range).collect();
    let lost_offsets = lost.iter().map(LostRange::offsets).sum();
    AcceptedCut { cuts, lost, lost_offsets, accepted: false }
}

async fn record_cuts(
    connection: &mut PgConnection,
    live: i32,
    ends: &BTreeMap<Partition, Ends>,
    lost: &Lost,
) -> anyhow::Result<()> {
    let epoch = logs::epoch_of_generation(connection, live).await?;
    for (partition, ends) in ends.iter().filter(|(_, ends)| ends.low > 0) {
        let from = lost.get(partition).map(|(from, _)| *from);
        record_accepted(connection, epoch, *partition, ends.low, from).await?;
    }
    Ok(())
}

/// Moves the checkpoints behind the lost offsets. Fences off the owners of the partitions, which
/// then take them over again.
async fn move_checkpoints(connection: &mut PgConnection, live: i32, lost: &Lost) -> anyhow::Result<()> {
    let partitions: Vec<Partition> = lost.keys().copied().collect();
    ownership::increment_epochs(connection, live, &partitions, None).await?;
    for (partition, (_, to)) in lost {
        checkpoints::set_next_offset(connection, live, *partition, *to).await?;
    }
    Ok(())
}
