//! Appends of which the client could not say whether they are in the log.
//!
//! Such a write is answered 503 at once, but its analytic end is not known: if the event landed, SUCCESS follows from the log. So it is
//! looked for once the log answers again and nothing of ours can be on its way any more; only what is not there has failed.

use crate::{
    append::{AppendError, Log},
    metrics,
    open_end::OpenEnd,
    problems,
    reader::{Found, Reader},
    visible::Visible,
};
use event_log::identity_watch::IdentityWatch;
use events_schema::UserKey;
use read_model::projection_position::LiveLog;
use service_kit::position::Position;
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

/// How many are kept for a look, and as many that come while one goes on.
const KEPT: usize = 4_096;
/// Longer than an append may be on its way and its client takes to go, so that nothing is still sent. It counts from
/// when the log answers again: what had arrived at a frozen broker is done by then.
const GRACE: Duration = Duration::from_secs(15);

/// An event that may be in the log.
#[derive(Debug, Clone)]
pub(crate) struct Uncertain {
    /// `ce_id`
    pub(crate) id: Uuid,
    pub(crate) key: UserKey,
    pub(crate) log: LiveLog,
    /// Where it is, if it is there …
    pub(crate) partition: u32,
    /// … and not before this offset.
    pub(crate) from: i64,
}

impl Uncertain {
    /// The same in the log that is live now: in another one than it was meant for, it may lie anywhere.
    fn in_log(self, log: LiveLog) -> Self {
        if self.log == log {
            return self;
        }
        Self { partition: self.key.partition(log.partitions), log, from: 0, ..self }
    }
}

/// It with the request that it was for.
struct Case {
    event: Uncertain,
    end: OpenEnd,
}

/// Takes uncertain appends.
pub(crate) struct Inquiries {
    cases: mpsc::Sender<Case>,
    stop: watch::Sender<bool>,
}

impl Inquiries {
    /// Starts the task that looks for them.
    pub(crate) fn start(log: Arc<Log>, which: IdentityWatch, visible: Visible, reader: Reader) -> Self {
        let (cases, queue) = mpsc::channel(KEPT);
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(Inquirer { log, which, visible, reader }.run(queue, stopped));
        Self { cases, stop }
    }

    /// Takes one. Where there is no room it is given up at once.
    pub(crate) fn open(&self, event: Uncertain, end: OpenEnd) {
        metrics::uncertain(1);
        if let Err(refused) = self.cases.try_send(Case { event, end }) {
            give_up(refused.into_inner());
        }
    }

    /// Gives up what is still open, since nobody will look for it any more.
    pub(crate) async fn stop(&self) {
        self.stop.send_replace(true);
        self.cases.closed().await;
    }
}

fn give_up(case: Case) {
    tracing::warn!("it is not known whether an event is in the log, and nobody will look for it");
    metrics::unresolved();
    close(case, AppendError::Unknown);
}

/// Its event is not there, as far as is known.
fn close(case: Case, error: AppendError) {
    metrics::uncertain(-1);
    case.end.fail(&problems::append(error));
}

/// Looks for them.
struct Inquirer {
    log: Arc<Log>,
    which: IdentityWatch,
    visible: Visible,
    reader: Reader,
}

impl Inquirer {
    async fn run(self, mut queue: mpsc::Receiver<Case>, mut stopped: watch::Receiver<bool>) {
        let mut open = Vec::new();
        loop {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => break,
                () = self.resolve_next(&mut queue, &mut open) => {}
            }
        }
        while let Ok(case) = queue.try_recv() {
            open.push(case);
        }
        open.into_iter().for_each(give_up);
    }

    /// Waits for some, and until they can be looked for; nothing is lost when it is dropped at any point.
    async fn resolve_next(&self, queue: &mut mpsc::Receiver<Case>, open: &mut Vec<Case>) {
        if open.is_empty() && queue.recv_many(open, KEPT).await == 0 {
            return std::future::pending().await;
        }
        self.log.is_back().await;
        // Until an operator has said which log counts, it has not got its effect in either.
        self.which.is_ours().await;
        tokio::time::sleep(GRACE).await;
        let Some(log) = self.visible.log().await else { return };
        for case in open.iter_mut() {
            case.event = case.event.clone().in_log(log);
        }
        match self.reader.find(open.iter().map(|case| case.event.clone()).collect()).await {
            Ok(found) => open.drain(..).for_each(|case| self.resolve(case, &found)),
            Err(error) => tracing::warn!(%error, "the log can't be read for events that may be in it"),
        }
    }

    fn resolve(&self, case: Case, found: &Found) {
        let Uncertain { id, log, partition, .. } = case.event;
        let Some(offset) = found.get(&id) else { return close(case, AppendError::Refused) };
        metrics::uncertain(-1);
        let replaced = |end: OpenEnd| end.fail(&problems::log_replaced_meanwhile());
        self.visible.follow_up(
            log.position(Position { partition, offset: *offset }),
            None,
            case.end,
            replaced,
        );
    }
}
