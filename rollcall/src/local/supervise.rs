//! Restarts a child process when it dies.

use super::home::Home;
use anyhow::Context;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{path::PathBuf, time::Duration};
use tokio::{
    process::{Child as Process, Command},
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// How long a child may take until it answers.
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a child may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a child may die during the start. More than once, because its predecessor may still be
/// stopping.
const MAX_DEATHS: u32 = 6;
/// A child that ran this long is restarted after the first, shortest pause.
const STABLE: Duration = Duration::from_secs(10);
/// The pause before the first restart. It doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The pause between two checks whether a child answers.
const CHECK_PAUSE: Duration = Duration::from_millis(30);

/// How to run a child.
pub(crate) struct Spec {
    /// The name in messages.
    pub(crate) name: &'static str,
    /// Creates the command for each start.
    pub(crate) command: Box<dyn Fn() -> Command>,
    /// The signal for a regular stop.
    pub(crate) stop_signal: Signal,
    /// The home of its log.
    pub(crate) home: Home,
    /// The name of its log.
    pub(crate) log: &'static str,
}

/// A running child.
pub(crate) struct Child {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    deaths: watch::Receiver<u32>,
    name: &'static str,
    log: PathBuf,
}

impl Child {
    /// Starts the child and keeps it running. Must be called on the main thread.
    pub(crate) fn start(spec: Spec) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (died, deaths) = watch::channel(0);
        let (name, log) = (spec.name, spec.home.log_path(spec.log));
        let task = tokio::task::spawn_local(keep(spec, stopped, died));
        Self { stop, task, deaths, name, log }
    }

    /// Waits until `answers` returns true.
    pub(crate) async fn ready(&mut self, mut answers: impl AsyncFnMut() -> bool) -> anyhow::Result<()> {
        let answered = async {
            while !answers().await {
                sleep(CHECK_PAUSE).await;
            }
        };
        let failed = || format!("{} does not start; see {}", self.name, self.log.display());
        tokio::select! {
            answered = timeout(START_TIMEOUT, answered) => answered.with_context(failed),
            _ = self.deaths.wait_for(|deaths| *deaths >= MAX_DEATHS) => Err(anyhow::Error::msg(failed())),
        }
    }

    /// Stops the child. Kills it if it does not stop in time.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

async fn keep(spec: Spec, mut stopped: oneshot::Receiver<()>, died: watch::Sender<u32>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begin = Instant::now();
        let end = match spawn(&spec) {
            Ok(mut process) => tokio::select! {
                status = process.wait() => status.map_or_else(|error| error.to_string(), |status| status.to_string()),
                _ = &mut stopped => return end(&spec, process).await,
            },
            Err(error) => service_kit::errors::describe_error(error.as_ref()),
        };
        tracing::warn!(child = spec.name, end, "a child process ended and is restarted");
        died.send_modify(|deaths| *deaths += 1);
        pause = if begin.elapsed() > STABLE { FIRST_PAUSE } else { pause };
        tokio::select! {
            () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            _ = &mut stopped => return,
        }
    }
}

fn spawn(spec: &Spec) -> anyhow::Result<Process> {
    let log = spec.home.open_log(spec.log)?;
    let mut command = (spec.command)();
    command.stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("{} can't be started", spec.name))
}

async fn end(spec: &Spec, mut process: Process) {
    signal(&process, spec.stop_signal);
    if timeout(STOP_TIMEOUT, process.wait()).await.is_err() {
        tracing::warn!(child = spec.name, "a child process does not stop and is killed");
        signal(&process, Signal::SIGKILL);
        let _ = process.wait().await;
    }
}

/// Signals the process. It has not been waited for yet, so no other process can have its id.
fn signal(process: &Process, signal: Signal) {
    if let Some(pid) = process.id().and_then(|pid| i32::try_from(pid).ok()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}
