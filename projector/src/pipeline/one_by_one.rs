//! Batches that can't be committed as a whole. Their records are read again and folded one by one.

use super::{Batch, Pipeline, parking_limit};
use crate::stop::Interrupt;
use events_schema::ReasonCode;
use read_model::write::Effects;
use std::collections::BTreeMap;

impl Pipeline {
    /// Whether records are folded one by one, until the end of a batch that could not be committed.
    pub(super) fn is_one_by_one(&self) -> bool {
        self.one_by_one.iter().any(|(partition, to)| self.owned.get(partition).is_some_and(|next| next < to))
    }

    /// PostgreSQL refused the data of a batch, and would do so again. If the batch has only one
    /// record, that record becomes a dead letter. Otherwise the records are read again one by one.
    pub(super) async fn retry_one_by_one(
        &mut self,
        effects: &Effects,
        batch_of_one: Option<Batch>,
    ) -> Result<(), Interrupt> {
        if let Some(poisoned) = batch_of_one.and_then(|batch| batch.poisoned(ReasonCode::RefusedByDatabase)) {
            return self.project(poisoned).await;
        }
        self.read_one_by_one(effects);
        Ok(())
    }

    /// Whether a batch stays within the limit on newly parked users.
    pub(super) async fn is_within_parking_limit(&self, effects: &Effects) -> Result<bool, Interrupt> {
        let pool = &self.store.pool;
        self.stop
            .retry("counting newly parked users", async || parking_limit::allows(pool, effects).await)
            .await
    }

    /// A batch would exceed the limit on newly parked users. One by one, records are folded until
    /// the limit is reached, so that every resume makes progress.
    pub(super) fn park_one_by_one(&mut self, effects: &Effects) -> Result<(), Interrupt> {
        if self.is_one_by_one() {
            return Err(Interrupt::TooManyParked);
        }
        self.read_one_by_one(effects);
        Ok(())
    }

    fn read_one_by_one(&mut self, effects: &Effects) {
        self.one_by_one.extend(effects.spans.iter().map(|(partition, span)| (*partition, span.next)));
        self.set_owned(BTreeMap::new());
        self.consumer.reassign();
    }
}
