//! What is done between batches: renewing leases, finishing erasures, and writing a cache that is
//! behind.

use super::Worker;
use crate::{metrics, pipeline::DATABASE_TIMEOUT, stop::Interrupt};
use futures_util::FutureExt as _;
use read_model::write::{VersionsToInvalidate, lease::ServerTime, ownership::FenceCheck};
use service_kit::{database::answered, errors};
use std::time::Duration;

/// The pause after a failed attempt to write the cache.
const CACHE_RETRY_PAUSE: Duration = Duration::from_millis(200);

impl Worker {
    /// Checks that this process still owns its partitions, and renews their leases if it does. The
    /// same statement finds out whether the projectors are paused, and which other work is waiting.
    pub(super) async fn renew_leases(&mut self) -> Result<(), Interrupt> {
        let pipeline = &mut self.pipeline;
        pipeline.show_lag();
        pipeline.check_idle_log().await?;
        let cache_time = pipeline.cache.invalidate(&VersionsToInvalidate::new()).await;
        let (pool, generation) = (&pipeline.store.pool, pipeline.store.generation);
        let announcements = pipeline.announcements();
        let check = pipeline.epochs.check(pool, generation, &pipeline.owned, &announcements);
        match pipeline.stop.run_until_stopped(answered(DATABASE_TIMEOUT, check)).await? {
            Ok(check) => self.act_on(check, cache_time.as_ref()).await,
            Err(error) => {
                tracing::warn!(
                    error = errors::describe_error(&error),
                    "checking the fence failed; leases are not renewed"
                );
                Ok(())
            }
        }
    }

    async fn act_on(&mut self, check: FenceCheck, cache_time: Option<&ServerTime>) -> Result<(), Interrupt> {
        let pipeline = &mut self.pipeline;
        match check {
            FenceCheck { is_paused: true, .. } => return Err(Interrupt::Paused),
            FenceCheck { are_ours: false, .. } => return pipeline.handle_fenced_off().boxed_local().await,
            FenceCheck { are_in_place: false, .. } => {
                pipeline.handle_restored();
                return Ok(());
            }
            FenceCheck { .. } => {}
        }
        let offsets = pipeline.user_offsets();
        pipeline.cache.renew(&offsets, cache_time).await;
        if check.has_requests {
            self.answer_requests().boxed_local().await?;
        }
        if check.has_repairs {
            self.answer_repairs().boxed_local().await?;
        } else {
            // The operator may have withdrawn the request.
            self.repairs.stop();
        }
        if check.has_erasures {
            self.pipeline.finish_erasures().boxed_local().await?;
        } else {
            // Another instance may have finished the last one.
            metrics::ERASURES_PENDING.set(0);
        }
        let pipeline = &self.pipeline;
        pipeline.vacuum.start_if_due(&pipeline.store.pool, &pipeline.store.keys);
        Ok(())
    }

    /// Writes the next part of a cache that is behind.
    pub(super) async fn catch_up_cache(&mut self) -> Result<(), Interrupt> {
        let pipeline = &mut self.pipeline;
        let offsets = pipeline.user_offsets();
        if let Err(error) = pipeline.cache.catch_up(&pipeline.store, &offsets).await {
            tracing::warn!(
                error = errors::describe_error(error.as_ref()),
                "writing the cache failed, retrying"
            );
            pipeline.stop.run_until_stopped(tokio::time::sleep(CACHE_RETRY_PAUSE)).await?;
        }
        Ok(())
    }
}
