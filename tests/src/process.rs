//! A process that the tests start: it never outlives them.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{LazyLock, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

/// How long a process may take to end once it was asked to.
const STOP: Duration = Duration::from_secs(60);

/// A running process; dropped, it is killed.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output added to the file `log`. It dies with the tests, however they end.
    ///
    /// # Panics
    /// It can't be started.
    pub fn start(command: &Command, log: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(log).expect("the log file");
        let mut tied = tie(command);
        tied.stdin(Stdio::null()).stdout(file.try_clone().expect("the log file")).stderr(file);
        let child = spawn(tied).unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, log: log.to_owned() }
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid is an i32"));
        kill(pid, signal).expect("the process is there to be signalled");
    }

    /// Asks it to stop and waits for its end.
    ///
    /// # Panics
    /// It does not stop.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end within a minute.
    pub fn wait(&mut self) -> ExitStatus {
        let give_up = Instant::now() + STOP;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < give_up, "the process does not end:\n{}", self.output());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same command, killed by the kernel when the thread that started it ends.
fn tie(command: &Command) -> Command {
    let mut tied = Command::new("setpriv");
    tied.args(["--pdeathsig", "KILL"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => tied.env(name, value),
            None => tied.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        tied.current_dir(dir);
    }
    tied
}

type Job = (Command, mpsc::Sender<io::Result<Child>>);

/// The thread that starts every process: it lives as long as the tests, so the processes do.
static SPAWNER: LazyLock<Mutex<mpsc::Sender<Job>>> = LazyLock::new(|| {
    let (jobs, queue) = mpsc::channel::<Job>();
    thread::spawn(move || {
        for (mut command, reply) in queue {
            let _ = reply.send(command.spawn());
        }
    });
    Mutex::new(jobs)
});

fn spawn(command: Command) -> io::Result<Child> {
    let (reply, answer) = mpsc::channel();
    SPAWNER.lock().expect("the spawner").send((command, reply)).expect("the spawner lives");
    answer.recv().expect("the spawner answers")
}
