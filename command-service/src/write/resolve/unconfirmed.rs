//! Appends whose confirmation did not arrive in time.
//!
//! Such a write is answered 503 at once, but its analytic end is not known: if the event is in the
//! log, SUCCESS follows from there. So the event is looked for once the log answers again and none
//! of our records can still be in flight. Only a write whose event is not there has failed.

use super::{DeferredOutcome, EventLookup, FollowUps, event_lookup::Found};
use crate::{
    log::{AppendError, Log},
    metrics, problems,
    write::{SentEvent, projection::Projection},
};
use event_log::identity_watch::IdentityWatch;
use service_kit::position::Position;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How many appends one lookup takes, and how many are queued meanwhile.
const CAPACITY: usize = 4_096;
/// How long to wait after the log answers again. Longer than an append and the shutdown of its
/// client take, so nothing is in flight any more. A broker that was frozen has finished what had
/// arrived by then.
const GRACE_PERIOD: Duration = Duration::from_secs(15);

/// An unconfirmed append with its request.
struct Unconfirmed {
    event: SentEvent,
    deferred: DeferredOutcome,
}

/// Accepts unconfirmed appends.
pub(crate) struct UnconfirmedAppends {
    queue: mpsc::Sender<Unconfirmed>,
    stop: CancellationToken,
    stopped: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl UnconfirmedAppends {
    /// Starts the task that resolves them.
    pub(crate) fn start(
        log: Arc<Log>,
        log_watch: IdentityWatch,
        projection: Projection,
        follow_ups: FollowUps,
        lookup: EventLookup,
    ) -> Self {
        let (sender, queue) = mpsc::channel(CAPACITY);
        let (stop, stopped) = (CancellationToken::new(), CancellationToken::new());
        let resolver = Resolver { log, log_watch, projection, follow_ups, lookup };
        let (until, at_end) = (stop.clone(), stopped.clone().drop_guard());
        tokio::spawn(async move {
            let _at_end = at_end;
            resolver.run(queue, until).await;
        });
        Self { queue: sender, _stop_on_drop: stop.clone().drop_guard(), stop, stopped }
    }

    /// Adds one. If the queue is full or closed, it is given up at once.
    pub(crate) fn add(&self, event: SentEvent, deferred: DeferredOutcome) {
        metrics::unconfirmed(1);
        if let Err(refused) = self.queue.try_send(Unconfirmed { event, deferred }) {
            give_up(refused.into_inner());
        }
    }

    /// Stops the task and gives up what is unresolved.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.stopped.cancelled().await;
    }
}

fn give_up(append: Unconfirmed) {
    tracing::warn!("an unconfirmed append was given up: its event may be in the log");
    metrics::unresolved();
    fail(append, AppendError::Unknown);
}

/// Closes the queue and takes what is in it. Closed first, it refuses what comes later: nothing
/// gets in unseen between the last look and the end.
async fn close<T>(mut queue: mpsc::Receiver<T>) -> Vec<T> {
    queue.close();
    let mut rest = Vec::new();
    // Waits for senders that already have a place in it.
    while let Some(item) = queue.recv().await {
        rest.push(item);
    }
    rest
}

fn fail(append: Unconfirmed, error: AppendError) {
    metrics::unconfirmed(-1);
    append.deferred.fail(&problems::append_failed(error));
}

/// Resolves unconfirmed appends.
struct Resolver {
    log: Arc<Log>,
    log_watch: IdentityWatch,
    projection: Projection,
    follow_ups: FollowUps,
    lookup: EventLookup,
}

impl Resolver {
    async fn run(self, mut queue: mpsc::Receiver<Unconfirmed>, stop: CancellationToken) {
        let mut open = Vec::new();
        while stop.run_until_cancelled(self.resolve_next(&mut queue, &mut open)).await.is_some() {}
        open.into_iter().chain(close(queue).await).for_each(give_up);
    }

    /// Waits for unconfirmed appends and until they can be looked for. Cancel safe.
    async fn resolve_next(&self, queue: &mut mpsc::Receiver<Unconfirmed>, open: &mut Vec<Unconfirmed>) {
        if open.is_empty() && queue.recv_many(open, CAPACITY).await == 0 {
            return std::future::pending().await;
        }
        self.log.until_available().await;
        // Until an operator has decided which log counts, no event of ours takes effect.
        self.log_watch.until_not_replaced().await;
        tokio::time::sleep(GRACE_PERIOD).await;
        // If PostgreSQL did not answer the checks meanwhile, the log may have been replaced
        // unnoticed.
        self.log_watch.until_confirmed().await;
        let Some(log) = self.projection.live_log().await else { return };
        for append in open.iter_mut() {
            append.event = append.event.clone().in_log(log);
        }
        match self.lookup.find(open.iter().map(|append| append.event.clone()).collect()).await {
            Ok(found) => open.drain(..).for_each(|append| self.resolve(append, &found)),
            Err(error) => tracing::warn!(%error, "the log can't be read for unconfirmed appends"),
        }
    }

    fn resolve(&self, append: Unconfirmed, found: &Found) {
        let SentEvent { id, log, partition, .. } = append.event;
        let Some(offset) = found.get(&id) else { return fail(append, AppendError::Refused) };
        metrics::unconfirmed(-1);
        let on_log_replaced = |deferred: DeferredOutcome| deferred.fail(&problems::log_replaced_meanwhile());
        let position = log.position(Position { partition, offset: *offset });
        self.follow_ups.start(position, None, append.deferred, on_log_replaced);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;
    use std::pin::pin;

    #[tokio::test]
    async fn nothing_gets_into_a_queue_unseen_while_it_is_closed() {
        let (sender, queue) = mpsc::channel(2);
        sender.try_send(1).unwrap();
        let place = sender.try_reserve().unwrap();
        let mut rest = pin!(close(queue));
        assert!(poll!(&mut rest).is_pending(), "it waits for the sender that has a place");
        assert!(sender.try_send(3).is_err(), "a later one is refused");
        place.send(2);
        assert_eq!(rest.await, [1, 2]);
    }
}
