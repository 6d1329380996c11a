//! Cuts: places where a partition does not begin at offset 0, because its beginning was deleted.
//!
//! A rebuild, a proof and an export can't read what was deleted, so each of them reports the cuts.
//! An operator may accept a cut; the projector then stops warning about it.

use crate::{
    identity::{LogIdentity, known_epoch},
    log_ends::{Ends, all_ends, name_of},
};
use events_schema::{Partition, Topic};
use read_model::operate::cuts::{RecordedCut, recorded};
use service_kit::{
    database::{self, Role},
    kafka::Topics,
    settings::Settings,
};
use sqlx::PgConnection;
use std::{collections::BTreeMap, fmt};

/// A partition that does not begin at offset 0.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cut {
    /// The name of the topic in Kafka. Of a copied cut: `users` or `credentials`, because the
    /// former log may have had another prefix.
    pub topic: String,
    /// The topic.
    #[serde(skip)]
    pub kind: Topic,
    /// The partition.
    pub partition: i32,
    /// The first offset that is left.
    pub first_offset: i64,
    /// Whether an operator has accepted the cut.
    pub accepted: bool,
    /// Whether this is a cut of the log that the present log is a copy of. The copy itself begins
    /// at 0.
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

/// Describes cuts, and what they mean, in one line.
#[must_use]
pub fn describe_cuts(cuts: &[Cut]) -> String {
    let cuts: Vec<_> = cuts.iter().map(ToString::to_string).collect();
    format!("the log was cut: {}. What lay before can't be read any more", cuts.join("; "))
}

/// The cuts of the present log.
///
/// # Errors
/// Kafka or PostgreSQL can't be queried.
pub async fn cuts(settings: &Settings) -> anyhow::Result<Vec<Cut>> {
    let pool = database::pool(settings.database_url()?, Role::Projector, 1)?;
    let found = async {
        let mut connection = pool.acquire().await?;
        cuts_of_log(settings, &mut connection).await
    };
    let found = found.await;
    pool.close().await;
    found
}

/// The cuts of the present log, read over an open connection.
///
/// # Errors
/// Kafka or PostgreSQL can't be queried.
pub async fn cuts_of_log(settings: &Settings, connection: &mut PgConnection) -> anyhow::Result<Vec<Cut>> {
    let log = LogIdentity::new(settings)?.present().await?;
    let ends = all_ends(settings).await?;
    let known = match known_epoch(connection, &log.ids).await? {
        Some(epoch) => recorded(connection, epoch).await?,
        None => Vec::new(),
    };
    let topics = Topics::new(&settings.topic_prefix);
    let accepted: BTreeMap<Partition, i64> =
        known.iter().filter(|cut| !cut.copied).map(|cut| (cut.partition, cut.first_offset)).collect();
    let own = ends.into_iter().filter(|(_, ends)| ends.low > 0).map(|(partition, Ends { low, .. })| Cut {
        topic: name_of(&topics, partition.0).to_owned(),
        kind: partition.0,
        partition: partition.1,
        first_offset: low,
        accepted: accepted.get(&partition).is_some_and(|accepted| low <= *accepted),
        copied: false,
    });
    Ok(own.chain(known.iter().filter(|cut| cut.copied).map(copied)).collect())
}

fn copied(cut: &RecordedCut) -> Cut {
    let (topic, partition) = cut.partition;
    Cut {
        topic: topic.to_string(),
        kind: topic,
        partition,
        first_offset: cut.first_offset,
        accepted: true,
        copied: true,
    }
}
