//! A child that is started again when it dies.

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
const START: Duration = Duration::from_secs(90);
/// How long it may take to end.
const STOP: Duration = Duration::from_secs(20);
/// So often it may die during the start; more than once, since the last one of its kind may still be dying.
const ATTEMPTS: u32 = 6;
/// Who lived that long is started again at once.
const STABLE: Duration = Duration::from_secs(10);
/// The pause before the first restart; it doubles each time.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Between two looks at whether it answers.
const LOOK: Duration = Duration::from_millis(30);

/// What is to be run.
pub(crate) struct Spec {
    /// What people call it.
    pub(crate) name: &'static str,
    /// Makes the command anew for each start.
    pub(crate) command: Box<dyn Fn() -> Command>,
    /// Ends it in good order.
    pub(crate) stop_signal: Signal,
    /// Where it logs, and under which name.
    pub(crate) home: Home,
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
    /// Starts it and keeps it running. Must be called on the main thread.
    pub(crate) fn start(spec: Spec) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (died, deaths) = watch::channel(0);
        let (name, log) = (spec.name, spec.home.log_path(spec.log));
        let task = tokio::task::spawn_local(keep(spec, stopped, died));
        Self { stop, task, deaths, name, log }
    }

    /// Waits until it answers, as `answers` sees it.
    pub(crate) async fn ready(&mut self, mut answers: impl AsyncFnMut() -> bool) -> anyhow::Result<()> {
        let answered = async {
            while !answers().await {
                sleep(LOOK).await;
            }
        };
        let says_why = || format!("{} does not start: {} says why", self.name, self.log.display());
        tokio::select! {
            answered = timeout(START, answered) => answered.with_context(says_why),
            _ = self.deaths.wait_for(|deaths| *deaths >= ATTEMPTS) => Err(anyhow::Error::msg(says_why())),
        }
    }

    /// Ends it, in good order if it can be had in time.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

async fn keep(spec: Spec, mut stopped: oneshot::Receiver<()>, died: watch::Sender<u32>) {
    let mut pause = PAUSE;
    loop {
        let begin = Instant::now();
        let end = match spawn(&spec) {
            Ok(mut process) => tokio::select! {
                status = process.wait() => status.map_or_else(|error| error.to_string(), |status| status.to_string()),
                _ = &mut stopped => return end(&spec, process).await,
            },
            Err(error) => service_kit::errors::describe_error(error.as_ref()),
        };
        tracing::warn!(child = spec.name, end, "a child ended and is started again");
        died.send_modify(|deaths| *deaths += 1);
        pause = if begin.elapsed() > STABLE { PAUSE } else { pause };
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
    if timeout(STOP, process.wait()).await.is_err() {
        tracing::warn!(child = spec.name, "a child does not end by itself and is killed");
        signal(&process, Signal::SIGKILL);
        let _ = process.wait().await;
    }
}

/// To the process alone, which has not been waited for: so its id is still its own.
fn signal(process: &Process, signal: Signal) {
    if let Some(pid) = process.id().and_then(|pid| i32::try_from(pid).ok()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}
