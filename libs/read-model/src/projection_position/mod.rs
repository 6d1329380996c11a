//! How far the live generation has been folded, partition by partition, and waiting for it.
//!
//! A service learns of progress in two ways. The projector announces each batch by `NOTIFY`
//! (`listener`); an announcement also lists the events without effect, so a writer usually learns
//! the outcome of its event without a query. Whatever was not heard, because a connection was lost
//! or a list did not fit, is queried while somebody waits (`poller`).
//!
//! Everything here is about one generation. When another one is promoted, all positions are queried
//! again: the new generation may be folded from another log, where an offset means another record.

mod await_position;
mod catch_up;
mod known;
mod listener;
mod poll_demand;
mod poller;

pub use await_position::WaitError;
pub use catch_up::{CatchingUp, Tail};
pub use known::LiveLog;

use catch_up::Gate;
use known::LivePositions;
use listener::Listener;
use poll_demand::PollDemand;
use service_kit::{
    database::{self, Role},
    health::Health,
    position::LogPosition,
    settings::Settings,
};
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// How often the read model is queried while somebody waits: what a lost notification costs at
/// most.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Connections for queries.
const CONNECTIONS: u32 = 4;
/// How long one query may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// Follows how far the live generation is folded. Cheap to clone.
#[derive(Clone)]
pub struct ProjectionPosition {
    pool: PgPool,
    live: watch::Receiver<LivePositions>,
    poll_demand: Arc<PollDemand>,
    gate: Arc<Gate>,
}

impl ProjectionPosition {
    /// Starts to follow, on connections of its own. Reconnects by itself, without an end.
    ///
    /// # Errors
    /// `DATABASE_URL` is missing or invalid.
    pub fn start(settings: &Settings) -> anyhow::Result<Self> {
        let pool = database::pool(settings.database_url()?, Role::Reader, CONNECTIONS)?;
        let (sender, live) = watch::channel(LivePositions::default());
        let (poll_demand, gate) = (Arc::new(PollDemand::default()), Arc::new(Gate::default()));
        let listener =
            Listener { live: sender.clone(), poll_demand: poll_demand.clone(), gate: gate.clone() };
        tokio::spawn(listener.run(pool.clone()));
        tokio::spawn(poller::run(pool.clone(), sender, poll_demand.clone()));
        Ok(Self { pool, live, poll_demand, gate })
    }

    /// What the read model still lacks of what the log held when this process began to listen.
    /// `None`: it lacks nothing, so its answers may be used. Costs no query.
    pub fn catching_up(&self) -> Option<CatchingUp> {
        self.gate.catching_up()
    }

    /// Makes readiness depend on the read model having caught up with the log.
    pub fn add_health_check(&self, health: &Health) {
        let position = self.clone();
        health.add("readModel", move || {
            let missing = position.catching_up();
            Box::pin(async move { missing.map_or(Ok(()), |missing| Err(missing.to_string())) })
        });
    }

    /// The first offset of a partition of a log that is not known to be folded. 0 where nothing is
    /// known.
    pub fn next_offset(&self, log: LiveLog, partition: u32) -> i64 {
        let live = self.live.borrow();
        let known = live.partitions.get(&partition).filter(|_| live.epoch == log.epoch);
        known.map_or(0, |known| known.next)
    }

    /// Whether an announcement has listed an event after `position` as rejected.
    pub fn has_rejected_since(&self, position: LogPosition) -> bool {
        let live = self.live.borrow();
        let known = live.partitions.get(&position.at.partition).filter(|_| live.epoch == position.epoch);
        known.is_some_and(|known| known.has_rejected_after(position.at.offset))
    }
}
