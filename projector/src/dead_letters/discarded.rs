//! Records that an operator discarded: they are skipped permanently, in rebuilds too.

use event_log::record::{Fact, Record};
pub(crate) use events_schema::Place;
use events_schema::{Partition, Topic};
use sqlx::PgPool;
use std::collections::{BTreeMap, BTreeSet};

/// The discarded records that are not folded yet.
#[derive(Debug, Default)]
pub(crate) struct Discarded(pub(crate) BTreeSet<Place>);

impl Discarded {
    /// Loads those of a generation's log that lie at or after these offsets.
    ///
    /// # Errors
    /// The query failed.
    pub(crate) async fn load(
        pool: &PgPool,
        generation: i32,
        at: &BTreeMap<Partition, i64>,
    ) -> sqlx::Result<Self> {
        let rows: Vec<(String, i32, i64)> = sqlx::query_as(
            "SELECT d.topic, d.partition, d.log_offset FROM rollcall.discarded d \
             JOIN rollcall.generations g ON g.id = $1 AND g.log_epoch = d.log_epoch",
        )
        .bind(generation)
        .fetch_all(pool)
        .await?;
        let place =
            |(topic, partition, offset): (String, _, _)| Some(((Topic::named(&topic)?, partition), offset));
        let is_ahead = |(partition, offset): &Place| at.get(partition).is_some_and(|next| offset >= next);
        Ok(Self(rows.into_iter().filter_map(place).filter(is_ahead).collect()))
    }

    /// Marks the record as discarded if it is one of them.
    pub(crate) fn hide(&self, mut record: Record) -> Record {
        if self.0.contains(&(record.partition, record.offset)) {
            record.fact = Fact::Discarded;
        }
        record
    }
}
