//! A log that does not begin at offset 0: something of it was cut off. What lay before can't be read by a rebuild, a proof or an export, so each
//! of them says so. An operator may accept a cut; then the projector says no more of it.

mod accept;

pub use accept::{AcceptedCut, LostRange, accept_cut};

use crate::{
    ask,
    log::{Ends, name_of},
    log_identity::{LogIdentity, known_epoch},
    record::{Partition, Topic},
    store::postgres,
};
use service_kit::{kafka::Topics, settings::Settings};
use sqlx::PgConnection;
use std::{collections::BTreeMap, fmt};

/// Where a partition begins that does not begin at 0.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cut {
    /// The topic's name in Kafka.
    pub topic: String,
    /// Which topic that is.
    #[serde(skip)]
    pub(crate) kind: Topic,
    /// The partition.
    pub partition: i32,
    /// The first offset that is there.
    pub first_offset: i64,
    /// Whether an operator has accepted it.
    pub accepted: bool,
    /// Whether it is a cut of the log that this one is a copy of: the copy itself begins at 0.
    pub copied: bool,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, first_offset, copied, .. } = self;
        if *copied {
            write!(
                f,
                "this log is a copy of one in which {topic} partition {partition} began at offset {first_offset}"
            )
        } else {
            write!(f, "{topic} partition {partition} begins at offset {first_offset}, not at 0")
        }
    }
}

/// Cuts in a line, and what they mean.
#[must_use]
pub fn cuts_in_words(cuts: &[Cut]) -> String {
    let cuts: Vec<_> = cuts.iter().map(ToString::to_string).collect();
    format!("the log was cut: {}. What lay before can't be read any more", cuts.join("; "))
}

/// The cuts of the log that is there.
///
/// # Errors
/// Kafka or Postgres can't be asked.
pub async fn cuts(settings: &Settings) -> anyhow::Result<Vec<Cut>> {
    let pool = postgres::pool(settings)?;
    let found = async {
        let mut connection = pool.acquire().await?;
        of_log(settings, &mut connection).await
    };
    let found = found.await;
    pool.close().await;
    found
}

/// The same over a connection that is there.
pub(crate) async fn of_log(settings: &Settings, connection: &mut PgConnection) -> anyhow::Result<Vec<Cut>> {
    let log = LogIdentity::new(settings)?.present().await?;
    let ends = ask::all_ends(settings).await?;
    let known = match known_epoch(connection, &log.ids).await? {
        Some(epoch) => kept(connection, epoch).await?,
        None => Vec::new(),
    };
    let topics = Topics::new(&settings.topic_prefix);
    let accepted: BTreeMap<Partition, i64> =
        known.iter().filter(|kept| !kept.copied).map(|kept| (kept.partition, kept.first_offset)).collect();
    let own = ends.into_iter().filter(|(_, ends)| ends.low > 0).map(|(partition, Ends { low, .. })| Cut {
        topic: name_of(&topics, partition.0).to_owned(),
        kind: partition.0,
        partition: partition.1,
        first_offset: low,
        accepted: accepted.get(&partition).is_some_and(|accepted| low <= *accepted),
        copied: false,
    });
    let copied = known.iter().filter(|kept| kept.copied).map(|kept| Cut {
        topic: kept.partition.0.to_string(),
        kind: kept.partition.0,
        partition: kept.partition.1,
        first_offset: kept.first_offset,
        accepted: true,
        copied: true,
    });
    Ok(own.chain(copied).collect())
}

/// What was written down of a log's cuts.
struct Kept {
    partition: Partition,
    first_offset: i64,
    copied: bool,
}

async fn kept(connection: &mut PgConnection, epoch: i32) -> sqlx::Result<Vec<Kept>> {
    let is_there = "SELECT to_regclass('rollcall.accepted_cuts') IS NOT NULL";
    if !sqlx::query_scalar::<_, bool>(is_there).fetch_one(&mut *connection).await? {
        return Ok(Vec::new());
    }
    let rows: Vec<(String, i32, i64, bool)> = sqlx::query_as(
        "SELECT topic, partition, max(first_offset), is_copied FROM rollcall.accepted_cuts WHERE log_epoch = $1 \
         GROUP BY topic, partition, is_copied ORDER BY topic DESC, partition",
    )
    .bind(epoch)
    .fetch_all(connection)
    .await?;
    let kept = |(topic, partition, first_offset, copied): (String, _, _, _)| {
        Some(Kept { partition: (Topic::named(&topic)?, partition), first_offset, copied })
    };
    Ok(rows.into_iter().filter_map(kept).collect())
}
