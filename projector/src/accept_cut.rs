//! Accepts a cut for an operator: records that were deleted before they were folded are left out, and
//! folding continues behind them.

use crate::{
    generation, migrate,
    pause::{self, By},
};
use anyhow::Context as _;
use event_log::{
    Halt,
    cuts::{Cut, cuts_of_log},
    identity::{LogIdentity, LogMatch, is_another},
    log_ends::{self, name_of},
};
use events_schema::Partition;
use read_model::{
    operate::{cuts::record_accepted, logs},
    write::fence,
};
use service_kit::{kafka::Topics, settings::Settings};
use sqlx::{PgConnection, PgPool};
use std::fmt;

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

/// Reports what the log has lost. Accepts it if `lose` is the number of lost offsets: the live generation
/// then continues behind them.
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
    migrate::lock(&mut transaction).await?;
    let live = generation::live(&mut transaction)
        .await?
        .context("there is no live generation: run `rollcall migrate` first")?;
    match LogIdentity::new(settings)?.compare(pool, live).await? {
        LogMatch::Same => {}
        LogMatch::Another => return Err(is_another().into()),
        LogMatch::Altered(altered) => return Err(Halt::from(altered).into()),
    }
    let ends = log_ends::all_ends(settings).await?;
    let cuts = cuts_of_log(settings, &mut transaction).await?;
    let partitions: Vec<Partition> = ends.keys().copied().collect();
    let checkpoints = fence::lock(&mut transaction, live, &partitions).await?;
    let lost: Vec<(Partition, i64, i64)> = ends
        .iter()
        .filter_map(|(partition, ends)| {
            let next = checkpoints.get(partition)?.next_offset;
            (ends.low > next).then_some((*partition, next, ends.low))
        })
        .collect();
    let topics = Topics::new(&settings.topic_prefix);
    let range = |((topic, partition), from, to): &(Partition, i64, i64)| LostRange {
        topic: name_of(&topics, *topic).to_owned(),
        partition: *partition,
        from: *from,
        to: *to,
    };
    let ranges: Vec<_> = lost.iter().map(range).collect();
    let lost_offsets = ranges.iter().map(LostRange::offsets).sum();
    let Some(lose) = lose else {
        return Ok(AcceptedCut { cuts, lost: ranges, lost_offsets, accepted: false });
    };
    anyhow::ensure!(
        lose == lost_offsets,
        "{lost_offsets} offsets are lost, not {lose}: nothing was changed. Check the cuts again"
    );
    let epoch = logs::epoch_of_generation(&mut transaction, live).await?;
    for (partition, ends) in ends.iter().filter(|(_, ends)| ends.low > 0) {
        let from = lost.iter().find(|(lost, ..)| lost == partition).map(|(_, from, _)| *from);
        record_accepted(&mut transaction, epoch, *partition, ends.low, from).await?;
    }
    go_on(&mut transaction, live, &lost).await?;
    pause::lift(&mut transaction, By::Log).await?;
    transaction.commit().await?;
    let accepted = cuts.into_iter().map(|cut| Cut { accepted: true, ..cut }).collect();
    Ok(AcceptedCut { cuts: accepted, lost: ranges, lost_offsets, accepted: true })
}

/// Moves the checkpoints behind the lost offsets. Fences off the owners of the partitions, which then take
/// them over again.
async fn go_on(
    connection: &mut PgConnection,
    live: i32,
    lost: &[(Partition, i64, i64)],
) -> anyhow::Result<()> {
    let partitions: Vec<Partition> = lost.iter().map(|(partition, ..)| *partition).collect();
    fence::increment_epochs(connection, live, &partitions, None).await?;
    for ((topic, partition), _, to) in lost {
        sqlx::query(
            "UPDATE rollcall.checkpoints SET next_offset = $4 WHERE generation = $1 AND topic = $2 AND partition = $3",
        )
        .bind(live)
        .bind(topic.as_str())
        .bind(partition)
        .bind(to)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
