//! Requests of operators about dead letters of the owned partitions.

use super::Worker;
use crate::{
    dead_letters::reprocess::{PartitionPosition, Reprocessor},
    pipeline::DATABASE_TIMEOUT,
    stop::Interrupt,
};
use events_schema::Topic;
use read_model::operate::requests::{self, Request};
use service_kit::{database::answered, errors};

impl Worker {
    /// Answers the open requests.
    pub(super) async fn answer_requests(&mut self) -> Result<(), Interrupt> {
        let pipeline = &self.pipeline;
        let open = requests::open(&pipeline.store.pool, pipeline.owned.keys());
        let open = pipeline.stop.run_until_stopped(answered(DATABASE_TIMEOUT, open)).await?;
        for request in open.unwrap_or_default() {
            if !self.answer(&request).await? {
                // It may have been committed all the same. The checkpoints tell, and with them the
                // revision that the cache must have.
                self.pipeline.revoke_partitions();
                self.pipeline.consumer.reassign();
                break;
            }
        }
        Ok(())
    }

    /// Answers a request; `false` if that failed.
    async fn answer(&mut self, request: &Request) -> Result<bool, Interrupt> {
        let pipeline = &mut self.pipeline;
        // It changes rows without moving a checkpoint. Those of parked users alone, who are not
        // remembered, but nothing has to depend on that.
        pipeline.remembered.clear();
        let Some(next_offset) = pipeline.owned.get(&(Topic::Users, request.partition)).copied() else {
            return Ok(true);
        };
        let position = PartitionPosition {
            partition: request.partition,
            next_offset,
            partition_count: pipeline.partition_count,
        };
        let reprocessor = Reprocessor {
            store: &pipeline.store,
            epochs: &pipeline.epochs,
            cache: &mut pipeline.cache,
            stop: &pipeline.stop,
        };
        match reprocessor.reprocess(request, position).await? {
            Ok(is_answered) => Ok(is_answered),
            Err(error) => {
                tracing::warn!(
                    error = errors::describe_error(error.as_ref()),
                    "a request about dead letters failed, retrying"
                );
                Ok(false)
            }
        }
    }
}
