//! Step 5, publish: after a commit, Redis gets the new bodies, and gauges get the new offsets. The
//! commit itself has announced the new positions to readers.

use super::Pipeline;
use crate::{metrics, stop::Interrupt};
use read_model::write::{Effects, lease::ServerTime};

impl Pipeline {
    /// Publishes the effects of a committed batch.
    pub(super) async fn publish(
        &mut self,
        effects: Effects,
        records: usize,
        cache_time: Option<&ServerTime>,
    ) -> Result<(), Interrupt> {
        self.record_offsets(&effects);
        self.remembered.committed(&effects);
        metrics::count(&effects, records);
        let has_erased = !effects.tombstones.is_empty() || !effects.late.is_empty();
        self.cache.publish(effects, cache_time);
        if has_erased {
            self.vacuum.mark_due();
        }
        // Keys in another database are not part of the commit.
        if has_erased && self.store.keys.is_separate() { self.finish_erasures().await } else { Ok(()) }
    }
}
