//! What the projector says about itself, and when it has to stop.

use crate::{dead_letter_counts::Counted, log::Shared};
use event_log::Halt;
use futures_util::FutureExt as _;
use service_kit::{errors, health::Health, instance};
use std::{
    sync::{Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};
use tokio::sync::watch;

/// Where the projector is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Not at work yet.
    Starting,
    /// At work.
    Running,
    /// Given up, until somebody has put right what is wrong.
    Stopped(String),
}

/// Why the projector's work ended.
#[derive(Debug)]
pub(crate) enum End {
    /// It was asked to.
    Stopping,
    /// A person is needed, because of the log.
    Halt(Halt),
    /// A person is needed, because of what would have been parked.
    TooManyParked,
    /// A person is needed, because the tables contradict themselves: what the server said of it.
    Inconsistent(String),
    /// Somebody has paused the projectors.
    Paused,
    /// A generation of another log is live: everything begins anew with that log.
    AnotherLog,
    /// The consumer's thread is gone: everything begins anew.
    Broken,
}

impl From<Halt> for End {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

/// How long one attempt may take: nothing that is asked for is answered later than that, if ever.
const ATTEMPT: Duration = Duration::from_secs(15);
/// The longest pause between two attempts: who has come back is found within that time.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The wish to stop. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// The wish, and the hand that makes it.
    pub(crate) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Resolves once it is wished, or nobody is left to wish it.
    pub(crate) async fn wished(&self) {
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }

    /// Does something unless it is to stop first.
    ///
    /// # Errors
    /// [`End::Stopping`].
    pub(crate) async fn unless<T>(&self, work: impl Future<Output = T>) -> Result<T, End> {
        tokio::select! {
            biased;
            () = self.wished() => Err(End::Stopping),
            done = work => Ok(done),
        }
    }

    /// Tries until it works, slower and slower, with a log line each time.
    ///
    /// # Errors
    /// [`End::Stopping`].
    pub(crate) async fn retry<T, E: Into<anyhow::Error>>(
        &self,
        what: &'static str,
        mut work: impl AsyncFnMut() -> Result<T, E>,
    ) -> Result<T, End> {
        let mut pause = Duration::from_millis(50);
        loop {
            match self.unless(tokio::time::timeout(ATTEMPT, work())).await? {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => {
                    let error: anyhow::Error = error.into();
                    tracing::warn!(error = errors::describe_error(error.as_ref()), "{what}: trying again");
                }
                Err(_) => tracing::warn!(error = "no answer in time", "{what}: trying again"),
            }
            self.unless(tokio::time::sleep(pause)).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// What an operator is shown beside the checks.
pub(crate) struct Shown {
    /// Of the log's consumer.
    pub(crate) shared: Shared,
    /// What waits for an operator.
    pub(crate) set_aside: Counted,
}

impl Shown {
    fn mount(self, health: &Health) {
        let Self { shared, set_aside } = self;
        let Shared { open, folded, .. } = shared;
        health.note("openTransactions", move || locked(&open).in_words());
        health.note("deadLetters", move || locked(&set_aside).in_words());
        health.note("partitions", move || {
            let owned: Vec<_> =
                locked(&folded).keys().map(|(topic, partition)| format!("{topic} {partition}")).collect();
            (!owned.is_empty()).then(|| format!("{} owns {}", instance::name(), owned.join(", ")))
        });
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Mounts the projector's own health checks.
pub(crate) fn mount(health: &Health, shown: Shown, state: watch::Receiver<State>) {
    let (shared, is_up) = (shown.shared.clone(), shown.shared.is_up.clone());
    shown.mount(health);
    health.add("kafka", move || {
        let is_up = is_up.load(Ordering::Relaxed);
        async move { if is_up { Ok(()) } else { Err("not connected".to_owned()) } }.boxed()
    });
    health.add("projector", move || {
        let lacks = match &*state.borrow() {
            State::Running => shared.behind(),
            State::Starting => Some("starting".to_owned()),
            State::Stopped(reason) => Some(reason.clone()),
        };
        async move { lacks.map_or(Ok(()), Err) }.boxed()
    });
}
