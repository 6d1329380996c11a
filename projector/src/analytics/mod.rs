//! The SUCCESS of every accepted change, derived from the log: it reads `users.events` and writes
//! `users.analytics`.
//!
//! Offsets and events are committed in one Kafka transaction, so that readers of committed records
//! see each SUCCESS exactly once, whatever crashes. A broker that stops may end a transaction only
//! in part and consider it ended (see `start_plan`). Therefore each session first ends what was
//! left open, and finds out which events are written. The live generation tells whether an event
//! was accepted. A rebuild derives nothing, because this consumer group has its own offsets.

mod configs;
mod decode;
mod derive;
mod group;
mod metrics;
mod offset_note;
mod outcomes;
mod pending;
mod rebalance;
mod session;
mod start_plan;
mod transaction;
mod written_ids;

pub(crate) use self::configs::group_of;

use self::{configs::Configs, outcomes::Outcomes, session::Session};
use crate::panics;
use anyhow::Context as _;
use key_store::Keys;
use read_model::projection_position::ProjectionPosition;
use service_kit::{
    database::{self, Role},
    settings::Settings,
};
use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};
use tokio::{runtime::Handle, sync::oneshot};

/// The pause after a failed session.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long `stop` waits. The broker aborts a transaction that the end of the process interrupts.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Outcomes are looked up one after the other.
const CONNECTIONS: u32 = 1;

/// The running pipeline. It ends if this value is dropped.
pub struct Running {
    stop: Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Running {
    /// Ends the pipeline between two transactions and leaves its group.
    pub async fn stop(self) {
        drop(self.stop);
        if tokio::time::timeout(STOP_TIMEOUT, self.ended).await.is_err() {
            tracing::warn!("the analytics pipeline did not end in time");
        }
    }
}

/// Starts the pipeline on a thread of its own, because librdkafka's transaction calls block.
/// Neither Kafka nor PostgreSQL has to be reachable yet. Must be called inside a Tokio runtime.
///
/// # Errors
/// A setting is missing or invalid.
pub fn start(settings: &Settings, position: ProjectionPosition) -> anyhow::Result<Running> {
    let pool = database::pool(settings.database_url()?, Role::Reader, CONNECTIONS)?;
    let configs = Configs::new(settings)?;
    metrics::register();
    let keys = Keys::open(settings)?;
    let outcomes = Outcomes::new(pool, position, keys, Handle::current());
    let (stop, stopped) = channel();
    let (end, ended) = oneshot::channel();
    let run = move || {
        run(&configs, &outcomes, &stopped);
        // Nobody may be waiting.
        let _ = end.send(());
    };
    thread::Builder::new()
        .name("analytics-derive".to_owned())
        .spawn(run)
        .context("the analytics thread can't be started")?;
    Ok(Running { stop, ended })
}

/// Runs one session after another. Any failure ends a session, even a panic, and the next one
/// starts from the committed offsets: abortable, fatal and unknown outcomes are handled in the same
/// way, and nothing in memory survives.
fn run(configs: &Configs, outcomes: &Outcomes, stopped: &Receiver<()>) {
    while is_running(stopped, Duration::ZERO) {
        let session = || Session::open(configs, outcomes)?.run(|| !is_running(stopped, Duration::ZERO));
        // Nothing else would start this thread again.
        match panics::catch_blocking(session).map_err(anyhow::Error::from).flatten() {
            Ok(()) => return,
            Err(error) => tracing::warn!(
                error = service_kit::errors::describe_error(error.as_ref()),
                "analytics failed, starting again from the committed offsets"
            ),
        }
        is_running(stopped, RETRY_PAUSE);
    }
}

/// Whether no stop is requested, after waiting that long. Dropping the sender requests it.
fn is_running(stopped: &Receiver<()>, wait: Duration) -> bool {
    !matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Disconnected))
}
