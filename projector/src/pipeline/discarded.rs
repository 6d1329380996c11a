//! Records that an operator discarded.

use event_log::record::{Fact, Record};
use events_schema::{Partition, Place};
use read_model::operate::discarded;
use sqlx::PgPool;
use std::collections::{BTreeMap, BTreeSet};

/// Records that an operator discarded and that are not folded yet. They never take effect,
/// not even in a rebuild.
#[derive(Debug, Clone, Default)]
pub(crate) struct Discarded(pub(crate) BTreeSet<Place>);

impl Discarded {
    /// Loads those of a generation's log that lie at or after these offsets.
    ///
    /// # Errors
    /// The query failed.
    pub(crate) async fn load(
        pool: &PgPool,
        generation: i32,
        offsets: &BTreeMap<Partition, i64>,
    ) -> sqlx::Result<Self> {
        let places = discarded::of_generation(pool, generation).await?;
        let is_ahead =
            |(partition, offset): &Place| offsets.get(partition).is_some_and(|next| offset >= next);
        Ok(Self(places.into_iter().filter(is_ahead).collect()))
    }

    /// Replaces the fact of a record that was discarded.
    pub(crate) fn apply(&self, mut record: Record) -> Record {
        if self.0.contains(&(record.partition, record.offset)) {
            record.fact = Fact::Discarded;
        }
        record
    }
}
