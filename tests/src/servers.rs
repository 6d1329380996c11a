//! The servers of a stack, to be killed and frozen. `rollcall run` restarts killed ones.

use crate::{Stack, until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use sqlx::{Connection as _, PgConnection};
use std::{fs, time::Duration};

/// The timeout for one answer. A frozen server gives none.
const ANSWER: Duration = Duration::from_secs(2);

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// The log.
    Kafka,
    /// The read model.
    Postgres,
    /// The cache.
    Redis,
}

impl Server {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kafka, Self::Postgres, Self::Redis];

    /// Kills all its processes with SIGKILL. Does nothing if it is just being restarted.
    pub fn kill(self, stack: &Stack) {
        self.signal(stack, Signal::SIGKILL);
    }

    /// Freezes all its processes: connections stay open, only the kernel accepts new ones, and
    /// nothing is answered.
    pub fn freeze(self, stack: &Stack) {
        self.signal(stack, Signal::SIGSTOP);
    }

    /// Resumes all its processes.
    pub fn thaw(self, stack: &Stack) {
        self.signal(stack, Signal::SIGCONT);
    }

    /// Its main process, unless it is just being restarted.
    pub fn pid(self, stack: &Stack) -> Option<u32> {
        children(stack.pid())
            .into_iter()
            .find(|(_, name)| name.starts_with(self.program()))
            .map(|(pid, _)| pid)
    }

    /// Waits until it answers.
    pub async fn answers(self, stack: &Stack) {
        until(&format!("{self:?} answers"), async || self.has_answered(stack).await.then_some(())).await;
    }

    /// Whether it answers now, within a generous time.
    pub async fn has_answered(self, stack: &Stack) -> bool {
        let asked = async {
            match self {
                Self::Kafka => kafka(stack.var("KAFKA_BROKERS")).await,
                Self::Postgres => postgres(stack.var("DATABASE_URL")).await,
                Self::Redis => redis(stack.var("REDIS_URL")).await,
            }
        };
        tokio::time::timeout(2 * ANSWER, asked).await.is_ok_and(|answer| answer.is_some())
    }

    /// The kernel's name of its main process.
    fn program(self) -> &'static str {
        match self {
            Self::Kafka => "java",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }

    /// The main process first, because a stopped one starts no others.
    fn signal(self, stack: &Stack, signal: Signal) {
        let Some(main) = self.pid(stack) else { return };
        // Looked up before, because children of a dead parent can't be found.
        let before = children(main);
        send(main, signal);
        let all = before.into_iter().chain(children(main)).map(|(pid, _)| pid);
        all.collect::<std::collections::BTreeSet<_>>().into_iter().for_each(|pid| send(pid, signal));
    }
}

/// A process that has ended needs no signal.
fn send(pid: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(i32::try_from(pid).expect("a pid is an i32")), signal);
}

/// The children of a process, with their names.
fn children(parent: u32) -> Vec<(u32, String)> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, name_under(pid, parent)?))).collect()
}

/// The name of a living process, if it has that parent.
fn name_under(pid: u32, parent: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, tail) = stat.rsplit_once(')')?;
    let mut fields = tail.split_whitespace();
    let is_alive = fields.next()? != "Z";
    (is_alive && fields.next()? == parent.to_string())
        .then(|| head.split_once('(').map(|(_, name)| name.to_owned()))?
}

async fn kafka(brokers: &str) -> Option<()> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a client");
    let asked = tokio::task::spawn_blocking(move || consumer.fetch_metadata(None, ANSWER).map(drop));
    asked.await.expect("the question does not panic").ok()
}

async fn postgres(url: &str) -> Option<()> {
    let connection = PgConnection::connect(url).await.ok()?;
    connection.close().await.ok()
}

async fn redis(url: &str) -> Option<()> {
    let client = redis::Client::open(url).expect("a Redis URL");
    let mut connection = client.get_multiplexed_async_connection().await.ok()?;
    redis::cmd("PING").exec_async(&mut connection).await.ok()
}
