//! The steps of an erasure that a commit can't do: keys in another database, and bodies in a cache
//! that did not answer.

use super::Pipeline;
use crate::{erasures, metrics, stop::Interrupt};
use service_kit::errors;

impl Pipeline {
    /// Finishes erasures. A step that fails is retried with the next lease renewal.
    pub(crate) async fn finish_erasures(&mut self) -> Result<(), Interrupt> {
        let owned = self.user_offsets().into_keys().collect();
        let finish = erasures::finish(&self.store, &mut self.cache, &owned, self.partition_count);
        match self.stop.run_until_stopped(finish).await? {
            Ok(pending) => {
                metrics::ERASURES_PENDING.set(pending);
                self.vacuum.mark_due();
            }
            Err(error) => tracing::warn!(
                error = errors::describe_error(error.as_ref()),
                "an erasure is not finished yet, retrying"
            ),
        }
        Ok(())
    }
}
