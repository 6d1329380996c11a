//! The projector's loop: batches and assignments in the order of the consumer's events, and
//! maintenance between them.

mod maintenance;
mod repairs;
mod requests;
mod supervisor;

pub(crate) use supervisor::{Parts, supervise};

use self::repairs::Repairs;
use crate::{
    pipeline::{
        Pipeline,
        consume::{Consumer, ConsumerEvent},
    },
    stop::Interrupt,
};
use futures_util::FutureExt as _;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often leases are renewed.
const RENEWAL_INTERVAL: Duration = Duration::from_millis(700);

/// The pipeline and the consumer that feeds it.
struct Worker {
    pipeline: Pipeline,
    consumer: Consumer,
    repairs: Repairs,
}

impl Worker {
    /// Works until something interrupts it.
    async fn run(&mut self) -> Result<(), Interrupt> {
        let mut renewal = tokio::time::interval(RENEWAL_INTERVAL);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let stop = self.pipeline.stop.clone();
            tokio::select! {
                biased;
                () = stop.requested() => return Err(Interrupt::Stopping),
                _ = renewal.tick() => self.renew_leases().boxed_local().await?,
                event = self.consumer.events.recv() => match event {
                    Some(event) => self.handle(event).await?,
                    None => return Err(Interrupt::ConsumerEnded),
                },
                () = std::future::ready(()), if self.pipeline.cache.can_catch_up() => {}
            }
            if self.pipeline.cache.can_catch_up() {
                self.catch_up_cache().boxed_local().await?;
            }
        }
    }

    /// Handles an event, and those that are taken from the queue with it.
    async fn handle(&mut self, event: ConsumerEvent) -> Result<(), Interrupt> {
        let mut event = Some(event);
        while let Some(next) = event.take() {
            match next {
                ConsumerEvent::Assigned { partitions, reply } => {
                    self.pipeline.assign_partitions(partitions, reply).boxed_local().await?;
                    self.renew_leases().boxed_local().await?;
                }
                ConsumerEvent::Revoked => self.pipeline.revoke_partitions(),
                first @ (ConsumerEvent::Record(_) | ConsumerEvent::AdvancedWithoutRecord { .. }) => {
                    event = self.pipeline.run(first, &mut self.consumer.events).await?;
                }
            }
        }
        Ok(())
    }
}
