//! An operator's word that a cut can't be undone: what is not folded of it is left out, and the fold goes on behind it.

use super::{Cut, of_log};
use crate::{
    ask,
    control::pause::{self, By},
    fence, generation,
    log::name_of,
    log_identity::{LogIdentity, WhichLog, is_another},
    migrate,
    record::Partition,
    state::Halt,
    store::postgres,
};
use anyhow::Context as _;
use service_kit::{kafka::Topics, settings::Settings};
use sqlx::{PgConnection, PgPool};
use std::fmt;

/// Offsets that are cut off and were not folded: what they held has no effect.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LostRange {
    /// The topic's name in Kafka.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first that is lost.
    pub from: i64,
    /// The first that is there.
    pub to: i64,
}

impl LostRange {
    /// How many offsets that are: records, and marks of transactions.
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

/// What is cut off, and whether that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedCut {
    /// Where the log begins.
    pub cuts: Vec<Cut>,
    /// What is lost without having been folded.
    pub lost: Vec<LostRange>,
    /// How many offsets that are.
    pub lost_offsets: i64,
    /// Whether it is accepted now.
    pub accepted: bool,
}

/// Says what the log has lost. With the number of offsets that are lost, accepts it: the live generation goes on behind them.
///
/// # Errors
/// It is another log, another number is lost, or Kafka or Postgres fails; nothing has changed then.
pub async fn accept_cut(settings: &Settings, lose: Option<i64>) -> anyhow::Result<AcceptedCut> {
    let pool = postgres::pool(settings)?;
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
    match LogIdentity::new(settings)?.which(pool, live).await? {
        WhichLog::Same => {}
        WhichLog::Another => return Err(is_another().into()),
        WhichLog::Altered(altered) => return Err(Halt::from(altered).into()),
    }
    let ends = ask::all_ends(settings).await?;
    let cuts = of_log(settings, &mut transaction).await?;
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
        "{lost_offsets} offsets are lost, not {lose}: nothing was changed. Look at it again"
    );
    let epoch: i32 = sqlx::query_scalar("SELECT log_epoch FROM rollcall.generations WHERE id = $1")
        .bind(live)
        .fetch_one(&mut *transaction)
        .await?;
    for (partition, ends) in ends.iter().filter(|(_, ends)| ends.low > 0) {
        let from = lost.iter().find(|(lost, ..)| lost == partition).map(|(_, from, _)| *from);
        write_down(&mut transaction, epoch, *partition, ends.low, from).await?;
    }
    go_on(&mut transaction, live, &lost).await?;
    pause::lift(&mut transaction, By::Log).await?;
    transaction.commit().await?;
    let accepted = cuts.into_iter().map(|cut| Cut { accepted: true, ..cut }).collect();
    Ok(AcceptedCut { cuts: accepted, lost: ranges, lost_offsets, accepted: true })
}

async fn write_down(
    connection: &mut PgConnection,
    epoch: i32,
    (topic, partition): Partition,
    first: i64,
    lost_from: Option<i64>,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rollcall.accepted_cuts (log_epoch, topic, partition, first_offset, lost_from) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT DO NOTHING",
    )
    .bind(epoch)
    .bind(topic.as_str())
    .bind(partition)
    .bind(first)
    .bind(lost_from)
    .execute(connection)
    .await
    .map(drop)
}

/// Moves the checkpoints behind what is lost. Whoever owns the partitions is fenced off and takes them over again.
async fn go_on(
    connection: &mut PgConnection,
    live: i32,
    lost: &[(Partition, i64, i64)],
) -> anyhow::Result<()> {
    let partitions: Vec<Partition> = lost.iter().map(|(partition, ..)| *partition).collect();
    fence::bump(connection, live, &partitions, None).await?;
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
