//! Listens for announcements on a connection of its own.

use super::{POLL_INTERVAL, QUERY_TIMEOUT, catch_up::Gate, known::LivePositions, poll_demand::PollDemand};
use crate::{
    announcement::{self, Announcement, CHANNEL},
    read::checkpoints::{self, Checkpoint},
};
use futures_util::FutureExt as _;
use service_kit::{database::answered, errors};
use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How often the listener reads the checkpoints. It bounds how long a restore under this process,
/// or a connection that was lost without an error, goes unnoticed.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long announcements may be missing before that is logged. Until then queries stand in for
/// them, and a database that restarts is usually back.
const LOG_SILENCE_AFTER: Duration = Duration::from_secs(10);

/// Where announcements go.
pub(super) struct Listener {
    pub(super) live: watch::Sender<LivePositions>,
    pub(super) poll_demand: Arc<PollDemand>,
    pub(super) gate: Arc<Gate>,
}

impl Listener {
    /// Listens until every receiver of positions is dropped.
    pub(super) async fn run(self, pool: PgPool) {
        let mut silence = Silence::default();
        while !self.live.is_closed() {
            let ended = self.listen(&pool, &mut silence).await;
            if let Some(silent_for) = silence.disconnected(Instant::now()) {
                let error = ended.err().map(|error| errors::describe_error(&error));
                tracing::warn!(
                    error,
                    seconds = silent_for.as_secs(),
                    "announcements don't arrive; the read model is queried instead"
                );
            }
            // A pause for a database that just refused a connection.
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Listens until the connection is lost, or a restore makes everything that was heard on it
    /// worthless.
    async fn listen(&self, pool: &PgPool, silence: &mut Silence) -> sqlx::Result<()> {
        // A pool of its own, so that it takes no connection away from requests.
        let own = PgPoolOptions::new().max_connections(1).acquire_timeout(QUERY_TIMEOUT);
        let options = (*pool.connect_options()).clone().application_name("rollcall progress");
        let mut listener = PgListener::connect_with(&own.connect_lazy_with(options)).await?;
        // A lost connection ends the loop. Reconnecting inside `try_recv`, which is cancelled below, could
        // hide the loss and the announcements missed meanwhile.
        listener.eager_reconnect(false);
        answered(QUERY_TIMEOUT, listener.listen(CHANNEL)).await?;
        silence.connected();
        loop {
            let queried_at = Instant::now();
            let found = answered(QUERY_TIMEOUT, checkpoints::all(&mut listener)).await?;
            if self.check(&found, queried_at) {
                return Ok(());
            }
            let end = queried_at + CHECK_INTERVAL;
            let Some(()) = self.receive_until(end, &mut listener).await? else { return Ok(()) };
        }
    }

    /// Applies checkpoints. Returns whether the read model was restored.
    fn check(&self, found: &[Checkpoint], queried_at: Instant) -> bool {
        let went_back = self.gate.observe(found);
        if went_back {
            tracing::warn!(
                "the read model went back: it was restored. Reads wait until it has caught up with the log"
            );
        }
        self.live.send_if_modified(|live| {
            if went_back {
                *live = LivePositions::default();
            }
            live.update(found, queried_at)
        });
        went_back
    }

    /// Receives announcements until `end`. `None`: the connection was lost, and announcements with
    /// it.
    async fn receive_until(&self, end: Instant, listener: &mut PgListener) -> sqlx::Result<Option<()>> {
        while Instant::now() < end {
            let Ok(received) = tokio::time::timeout_at(end.into(), listener.try_recv()).await else { break };
            let Some(first) = received? else { return Ok(None) };
            let mut announcements = Vec::from_iter(announcement::parse(first.payload()));
            // A commit announces each of its partitions. Applied together, they wake the waiters once.
            while let Some(received) = listener.try_recv().now_or_never() {
                let Some(next) = received? else { return Ok(None) };
                announcements.extend(announcement::parse(next.payload()));
            }
            self.apply(&announcements);
        }
        Ok(Some(()))
    }

    fn apply(&self, announcements: &[Announcement]) {
        for Announcement { generation, confirmed, batch } in announcements {
            self.gate.confirm(*generation, confirmed);
            if let Some(batch) = batch {
                self.gate.advance(*generation, batch.partition, batch.next);
            }
        }
        self.live.send_if_modified(|live| {
            if announcements.iter().any(|announcement| announcement.generation != live.generation) {
                self.poll_demand.request_poll();
            }
            // Each has to be applied, so this must not stop at the first change.
            announcements.iter().fold(false, |changed, announcement| live.apply(announcement) | changed)
        });
    }
}

/// For how long no announcement can arrive, and whether that was logged.
#[derive(Default)]
struct Silence {
    since: Option<Instant>,
    is_logged: bool,
}

impl Silence {
    /// Announcements arrive.
    fn connected(&mut self) {
        if std::mem::take(self).is_logged {
            tracing::info!("announcements arrive again");
        }
    }

    /// A connection has ended, or there was none. Returns the length of the silence when it is to
    /// be logged: once, and only when it lasts.
    fn disconnected(&mut self, now: Instant) -> Option<Duration> {
        let since = *self.since.get_or_insert(now);
        let silent_for = now.saturating_duration_since(since);
        let is_due = silent_for >= LOG_SILENCE_AFTER && !std::mem::replace(&mut self.is_logged, true);
        is_due.then_some(silent_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lasting_silence_is_told_and_once() {
        let (now, mut silence) = (Instant::now(), Silence::default());
        assert_eq!(silence.disconnected(now), None, "a database that restarts");
        silence.connected();
        assert_eq!(silence.disconnected(now + LOG_SILENCE_AFTER), None, "counted from here on");
        assert_eq!(silence.disconnected(now + 2 * LOG_SILENCE_AFTER), Some(LOG_SILENCE_AFTER));
        assert_eq!(silence.disconnected(now + 3 * LOG_SILENCE_AFTER), None);
        silence.connected();
        assert!(!silence.is_logged && silence.since.is_none());
    }
}
