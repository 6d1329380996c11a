//! Records that an operator has taken the effect of, now and in every rebuild.

use event_log::record::{Fact, Record};
pub(crate) use events_schema::Place;
use events_schema::{Partition, Topic};
use sqlx::PgPool;
use std::collections::{BTreeMap, BTreeSet};

/// Those that a fold may still meet.
#[derive(Debug, Default)]
pub(crate) struct Discarded(pub(crate) BTreeSet<Place>);

impl Discarded {
    /// Those of the log of a generation that are not folded yet by one who stands at these offsets.
    ///
    /// # Errors
    /// Postgres can't be asked.
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

    /// Takes the effect of a record if it is one of them.
    pub(crate) fn hide(&self, mut record: Record) -> Record {
        if self.0.contains(&(record.partition, record.offset)) {
            record.fact = Fact::Discarded;
        }
        record
    }
}
