//! Queries positions at the start, after a hint that another generation is live, and while somebody
//! waits for longer than an announcement takes.

use super::{POLL_INTERVAL, QUERY_TIMEOUT, known::LivePositions, poll_demand::PollDemand};
use crate::read::checkpoints;
use service_kit::{database::answered, errors};
use sqlx::PgPool;
use std::{sync::Arc, time::Instant};
use tokio::sync::watch;

pub(super) async fn run(pool: PgPool, live: watch::Sender<LivePositions>, poll_demand: Arc<PollDemand>) {
    while !live.is_closed() {
        let queried_at = Instant::now();
        match answered(QUERY_TIMEOUT, checkpoints::of_users(&pool)).await {
            Ok(found) => drop(live.send_if_modified(|live| live.update(&found, queried_at))),
            Err(error) => {
                tracing::warn!(
                    error = errors::describe_error(&error),
                    "the projector's position can't be read"
                )
            }
        }
        if live.borrow().partitions.is_empty() {
            tokio::time::sleep(POLL_INTERVAL).await;
        } else {
            poll_demand.next_poll().await;
        }
    }
}
