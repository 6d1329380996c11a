//! The request to stop, and why the projector's work was interrupted.

use event_log::Halt;
use read_model::write::sql_error;
use service_kit::errors;
use std::time::Duration;
use tokio::sync::watch;

/// Why the projector's work ended.
#[derive(Debug)]
pub(crate) enum Interrupt {
    /// The process is stopping.
    Stopping,
    /// The log needs an operator.
    Halt(Halt),
    /// Too many users would have been parked, which needs an operator.
    TooManyParked,
    /// The tables contradict themselves, which needs an operator. Contains PostgreSQL's reason.
    Inconsistent(String),
    /// The projectors are paused.
    Paused,
    /// A generation of another log is live, so everything starts again with that log.
    LogReplaced,
    /// The consumer's thread ended, so everything starts again.
    ConsumerEnded,
    /// The code panicked, so everything starts again.
    Panicked,
}

impl Interrupt {
    /// The interrupt that the error of a commit to the live generation requires: a commit to tables
    /// that contradict themselves must not be tried again.
    pub(crate) fn by_commit_error(error: &sqlx::Error) -> Option<Self> {
        sql_error::is_inconsistent(error).then(|| Self::Inconsistent(sql_error::reason(error)))
    }
}

impl From<Halt> for Interrupt {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// The pause after the first failed attempt. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The request to stop. Cheap to clone.
#[derive(Clone)]
pub(crate) struct StopSignal(watch::Receiver<bool>);

impl StopSignal {
    /// The signal, and the sender that raises it.
    pub(crate) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Resolves once a stop is requested, or the sender is dropped.
    pub(crate) async fn requested(&self) {
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }

    /// Runs a future until it is done or a stop is requested.
    ///
    /// # Errors
    /// [`Interrupt::Stopping`].
    pub(crate) async fn run_until_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Interrupt> {
        tokio::select! {
            biased;
            () = self.requested() => Err(Interrupt::Stopping),
            done = work => Ok(done),
        }
    }

    /// Repeats work until it succeeds, with growing pauses and a log line for each failure.
    ///
    /// # Errors
    /// [`Interrupt::Stopping`].
    pub(crate) async fn retry<T, E: Into<anyhow::Error>>(
        &self,
        what: &'static str,
        mut work: impl AsyncFnMut() -> Result<T, E>,
    ) -> Result<T, Interrupt> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.run_until_stopped(tokio::time::timeout(ATTEMPT_TIMEOUT, work())).await? {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => {
                    let error: anyhow::Error = error.into();
                    tracing::warn!(error = errors::describe_error(error.as_ref()), "{what} failed, retrying");
                }
                Err(_) => tracing::warn!(error = "no answer in time", "{what} failed, retrying"),
            }
            self.run_until_stopped(tokio::time::sleep(pause)).await?;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }
}
