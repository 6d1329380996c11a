//! A Redis server for one test, to be frozen, killed and restored.

use crate::{Process, free_port, scratch, until};
use nix::sys::signal::Signal;
use redis::{Client, aio::MultiplexedConnection};
use std::{path::PathBuf, process::Command};

/// The server.
pub struct RedisServer {
    port: u16,
    dir: PathBuf,
    process: Option<Process>,
}

impl RedisServer {
    /// Starts a server without automatic snapshots.
    pub async fn start() -> Self {
        let mut server = Self { port: free_port(), dir: scratch("redis"), process: None };
        server.restart().await;
        server
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Restarts it after [`Self::kill`], from the last saved snapshot.
    pub async fn restart(&mut self) {
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &self.port.to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.arg("--dir").arg(&self.dir);
        self.process = Some(Process::start(&command, &self.dir.join("redis.log")));
        until("Redis answers", async || self.connect().await).await;
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Freezes it: connections stay open, and nothing is answered.
    pub fn freeze(&self) {
        self.process.as_ref().expect("Redis runs").signal(Signal::SIGSTOP);
    }

    /// Resumes it.
    pub fn thaw(&self) {
        self.process.as_ref().expect("Redis runs").signal(Signal::SIGCONT);
    }

    /// Runs a command whose words contain no spaces.
    ///
    /// # Panics
    /// It fails.
    pub async fn command(&self, words: &str) {
        let mut connection = self.connect().await.expect("a connection to Redis");
        let (name, arguments) = words.split_once(' ').unwrap_or((words, ""));
        let mut command = redis::cmd(name);
        for argument in arguments.split_whitespace() {
            command.arg(argument);
        }
        command.exec_async(&mut connection).await.unwrap_or_else(|error| panic!("{words}: {error}"));
    }

    /// A value, if it is there.
    ///
    /// # Panics
    /// Redis does not answer.
    pub async fn get(&self, key: &str) -> Option<String> {
        let mut connection = self.connect().await.expect("a connection to Redis");
        redis::cmd("GET").arg(key).query_async(&mut connection).await.expect("an answer to GET")
    }

    /// The values of keys, at least one.
    ///
    /// # Panics
    /// Redis does not answer.
    pub async fn values(&self, keys: impl IntoIterator<Item = &str>) -> Vec<Option<String>> {
        let mut connection = self.connect().await.expect("a connection to Redis");
        let mut command = redis::cmd("MGET");
        for key in keys {
            command.arg(key);
        }
        command.query_async(&mut connection).await.expect("an answer to MGET")
    }

    /// Sets a value.
    ///
    /// # Panics
    /// Redis does not answer.
    pub async fn set(&self, key: &str, value: &str) {
        let mut connection = self.connect().await.expect("a connection to Redis");
        redis::cmd("SET").arg(key).arg(value).exec_async(&mut connection).await.expect("an answer to SET");
    }

    /// The keys that match a pattern.
    pub async fn keys(&self, pattern: &str) -> Vec<String> {
        let mut connection = self.connect().await.expect("a connection to Redis");
        redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.expect("an answer to KEYS")
    }

    async fn connect(&self) -> Option<MultiplexedConnection> {
        let client = Client::open(self.url()).expect("a Redis URL");
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        redis::cmd("PING").exec_async(&mut connection).await.ok()?;
        Some(connection)
    }
}
