//! Records that an operator has discarded: the operator's word that they are dealt with, whatever they say.

use event_log::record::Record;
use events_schema::{Partition, Topic};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Those of the log that the live generation is folded from.
pub(super) struct Discarded(BTreeSet<(Partition, i64)>);

impl Discarded {
    /// Looks them up.
    ///
    /// # Errors
    /// Postgres can't be asked.
    pub(super) async fn load(connection: &mut PgConnection) -> sqlx::Result<Self> {
        let rows: Vec<(String, i32, i64)> = sqlx::query_as(
            "SELECT d.topic, d.partition, d.log_offset FROM rollcall.discarded d \
             JOIN rollcall.generations g ON g.state = 'live' AND g.log_epoch = d.log_epoch",
        )
        .fetch_all(connection)
        .await?;
        let place =
            |(topic, partition, offset): (String, _, _)| Some(((Topic::named(&topic)?, partition), offset));
        Ok(Self(rows.into_iter().filter_map(place).collect()))
    }

    /// Whether a record is one of them.
    pub(super) fn has(&self, record: &Record) -> bool {
        self.0.contains(&(record.partition, record.offset))
    }
}
