//! A stack: the whole service as `rollcall run` starts it, shared by the tests.

use crate::{
    Api, Cli, Keyring, Process, Record, Signer, cli::command, free_port, processes_of, programs::profile_dir,
    read_topic,
};
use sqlx::PgPool;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// How long a start may take. The first one may have to fetch Kafka.
const START: Duration = Duration::from_secs(600);

/// Tests expect 200 and 201. With the default of 5 s, a loaded machine answers 202 now and then.
pub(crate) const VISIBILITY_TIMEOUT: (&str, &str) = ("ROLLCALL_VISIBILITY_TIMEOUT", "15s");

/// A running stack.
pub struct Stack {
    /// Its `ROLLCALL_HOME`.
    pub home: PathBuf,
    /// The content of its `env` file.
    pub env: BTreeMap<String, String>,
    process: Mutex<Option<Process>>,
}

/// Started by the first test that needs it. If that fails, all others fail at once.
static SHARED: LazyLock<Stack> = LazyLock::new(|| {
    let stack = Stack::start(&scratch("stack"));
    STARTED.store(true, Ordering::SeqCst);
    stack
});
static STARTED: AtomicBool = AtomicBool::new(false);

impl Stack {
    /// The shared stack. The first test that needs it starts it.
    pub fn shared() -> &'static Self {
        &SHARED
    }

    /// The shared stack, if it was started.
    pub fn if_started() -> Option<&'static Self> {
        STARTED.load(Ordering::SeqCst).then(|| &*SHARED)
    }

    /// Starts a stack in `home` on free ports and waits until it is ready.
    ///
    /// # Panics
    /// It ends before that, or never gets ready.
    pub fn start(home: &Path) -> Self {
        Self::start_in(home, &[])
    }

    /// The same with more environment variables.
    ///
    /// # Panics
    /// It ends before that, or never gets ready.
    pub fn start_in(home: &Path, environment: &[(&str, &str)]) -> Self {
        let process = Self::launch_in(home, environment);
        let ready = wait_for_ready(process);
        let env = read_env(&home.join("env"));
        Self { home: home.to_owned(), env, process: Mutex::new(Some(ready)) }
    }

    /// Starts `rollcall run` in `home` without waiting for it.
    pub fn launch(home: &Path) -> Process {
        Self::launch_in(home, &[])
    }

    fn launch_in(home: &Path, environment: &[(&str, &str)]) -> Process {
        let settings = [
            ("ROLLCALL_HOME", home.display().to_string()),
            ("ROLLCALL_ADDR", "127.0.0.1:0".to_owned()),
            ("ROLLCALL_KAFKA_PORT", free_port().to_string()),
            (VISIBILITY_TIMEOUT.0, VISIBILITY_TIMEOUT.1.to_owned()),
        ];
        let mut run = command("rollcall", &settings.map(|(name, value)| (name.to_owned(), value)).into());
        run.arg("run").envs(environment.iter().copied());
        fs::create_dir_all(home).expect("the home can be made");
        // The output of an earlier start must not be mistaken for this one.
        fs::write(home.join("run.log"), "").expect("the home can be written to");
        Process::start(&run, &home.join("run.log"))
    }

    /// The same keys and settings with another address.
    pub fn behind(&self, url: &str) -> Self {
        let mut env = self.env.clone();
        env.insert("ROLLCALL_URL".to_owned(), url.to_owned());
        Self { home: self.home.clone(), env, process: Mutex::new(None) }
    }

    /// A value of its `env` file.
    ///
    /// # Panics
    /// It does not exist.
    pub fn var(&self, name: &str) -> &str {
        self.env.get(name).unwrap_or_else(|| panic!("{name} is not in env"))
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        self.var("ROLLCALL_URL")
    }

    /// `rollcall` for this deployment.
    pub fn cli(&self) -> Cli {
        Cli::beside(&self.home)
    }

    /// All of `users.events`, decrypted with the existing keys.
    ///
    /// # Panics
    /// It can't be read.
    pub async fn log(&self) -> Vec<Record> {
        let records = read_topic(self.var("KAFKA_BROKERS"), "users.events").await;
        let database = PgPool::connect(self.var("DATABASE_URL")).await.expect("the stack's Postgres");
        let keyring = Keyring::read(&self.home, &database).await;
        database.close().await;
        keyring.opened(records)
    }

    /// Makes a checkpoint in PostgreSQL. If that fails, the stop does it.
    pub async fn checkpoint(&self) {
        if let Ok(database) = PgPool::connect(self.var("DATABASE_URL")).await {
            let _ = sqlx::query("CHECKPOINT").execute(&database).await;
            database.close().await;
        }
    }

    /// A signer with its local key.
    pub fn signer(&self) -> Signer {
        Signer::of(&self.home)
    }

    /// A client of a new tenant.
    pub fn tenant(&self) -> Api {
        let tenant = new_tenant();
        Api::new(self.url(), self.url(), &tenant, &self.token(&tenant))
    }

    /// A token with all scopes for a tenant.
    pub fn token(&self, tenant: &str) -> String {
        self.cli().run(&["token", "--tenant", tenant]).expect(0).stdout.trim().to_owned()
    }

    /// The process id of `rollcall run`.
    ///
    /// # Panics
    /// It was stopped.
    pub fn pid(&self) -> u32 {
        self.process.lock().expect("the process").as_ref().expect("the stack runs").pid()
    }

    /// Kills `rollcall run` with SIGKILL.
    ///
    /// # Panics
    /// It was stopped before.
    pub fn kill(&self) {
        drop(self.process.lock().expect("the process").take().expect("the stack runs"));
    }

    /// Stops it, and checks how it ended.
    ///
    /// # Errors
    /// It did not exit with 0, or left a process behind.
    pub fn stop(&self) -> Result<(), String> {
        let Some(mut process) = self.process.lock().expect("the process").take() else { return Ok(()) };
        let status = process.stop();
        let left = processes_of(&self.home);
        match (status.code(), left.is_empty()) {
            (Some(0), true) => Ok(()),
            (Some(0), false) => Err(format!("rollcall run left processes behind: {left:?}")),
            _ => Err(format!("rollcall run ended with {status}\n{}", process.last_lines())),
        }
    }
}

fn wait_for_ready(mut process: Process) -> Process {
    let give_up = Instant::now() + START;
    while !process.output().lines().any(|line| line.starts_with("ready: http")) {
        assert!(process.ended().is_none(), "rollcall run has ended:\n{}", process.output());
        assert!(Instant::now() < give_up, "rollcall run is not ready:\n{}", process.output());
        thread::sleep(Duration::from_millis(50));
    }
    process
}

fn read_env(path: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned())).collect()
}

/// A new tenant id.
pub(crate) fn new_tenant() -> String {
    format!("t-{}", Uuid::new_v4().simple())
}

/// The workspace's root.
///
/// # Panics
/// This crate is not in a workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a member has a parent")
}

/// The directory of this run's files, below the build directory.
static RUN: LazyLock<PathBuf> = LazyLock::new(|| {
    let target = profile_dir().parent().expect("a profile is in a target dir").to_owned();
    target.join("tmp").join(format!("run-{}", short_id()))
});

fn short_id() -> String {
    Uuid::new_v4().simple().to_string()[..8].to_owned()
}

/// Removes the files of this run.
pub fn remove_scratch() {
    // It may not exist.
    let _ = fs::remove_dir_all(&*RUN);
}

/// Creates a directory for this run.
///
/// # Panics
/// It can't be created.
pub fn scratch(name: &str) -> PathBuf {
    let dir = RUN.join(format!("{name}-{}", short_id()));
    fs::create_dir_all(&dir).expect("a scratch directory");
    dir
}
