//! The SUCCESS of every accepted change, derived from the log itself: `users.events` in, `users.analytics` out.
//!
//! Offsets and events are committed in one Kafka transaction, so that a change has its SUCCESS exactly once for those who read
//! committed records, whatever dies in between. A broker that stops may end a transaction in part or not at all and call it ended (see
//! `starts`), so each session ends what was left open and looks what is written before it derives. Whether an event was accepted is what the live generation says of its position; a
//! replay into another generation derives nothing, since this consumer group has an offset of its own.

mod derive;
mod group;
mod metrics;
mod note;
mod outcomes;
mod pending;
mod session;
mod starts;
mod transaction;
mod written;

use self::{
    outcomes::Outcomes,
    session::{Configs, Session},
};
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

/// How long the log is left alone after a session failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long `stop` waits; a transaction that is cut off by the end of the process is aborted by the broker.
const STOP: Duration = Duration::from_secs(10);
/// One hears announcements, one asks for positions, one for outcomes.
const CONNECTIONS: u32 = 3;

/// The pipeline at work. Dropped, it ends by itself.
pub struct Running {
    stop: Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Running {
    /// Ends the pipeline between two transactions and leaves its group.
    pub async fn stop(self) {
        drop(self.stop);
        if tokio::time::timeout(STOP, self.ended).await.is_err() {
            tracing::warn!("the analytics pipeline did not end in time");
        }
    }
}

/// Starts the pipeline on a thread of its own: librdkafka's transaction calls block. Nothing needs to be up yet.
/// Must be called inside a Tokio runtime.
///
/// # Errors
/// A setting is missing or bad.
pub fn start(settings: &Settings) -> anyhow::Result<Running> {
    let pool = database::pool(settings.database_url()?, Role::Reader, CONNECTIONS)?;
    let configs = Configs::new(settings)?;
    metrics::show();
    let keys = Keys::open(settings)?;
    let outcomes = Outcomes::new(pool.clone(), ProjectionPosition::start(pool), keys, Handle::current());
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

/// Sessions, one after the other. Whatever fails ends a session, and the next one starts from the committed offsets: one way back
/// from abortable, fatal and unknown outcomes alike, and nothing in memory outlives it.
fn run(configs: &Configs, outcomes: &Outcomes, stopped: &Receiver<()>) {
    while is_running(stopped, Duration::ZERO) {
        let session = Session::open(configs, outcomes);
        match session.and_then(|session| session.run(|| !is_running(stopped, Duration::ZERO))) {
            Ok(()) => return,
            Err(error) => tracing::warn!(
                error = service_kit::errors::describe_error(error.as_ref()),
                "analytics start over from the committed offsets"
            ),
        }
        is_running(stopped, RETRY);
    }
}

/// Nothing is ever sent: the sender's end is the word to stop.
fn is_running(stopped: &Receiver<()>, wait: Duration) -> bool {
    !matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Disconnected))
}
