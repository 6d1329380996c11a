//! The whole service in one process, as `rollcall run` starts it, on the stack's servers. It has its
//! own topics, database and Redis, so that a test can lose them.

use crate::{Cli, Deployment, Process, RedisServer, Shell, Stack, cli::command, free_port, until};
use sqlx::{AssertSqlSafe, PgPool};
use std::collections::BTreeMap;

/// The service. Nothing runs until it is started.
pub struct Together {
    /// Its topics, database and settings.
    pub deployment: Deployment,
    /// Its Redis.
    pub redis: RedisServer,
    stack: &'static Stack,
    settings: BTreeMap<String, String>,
    process: Option<Process>,
}

impl Together {
    /// Prepares a service that signs its own tokens.
    pub async fn prepare(stack: &'static Stack) -> Self {
        let redis = RedisServer::start().await;
        let deployment = Deployment::prepare(stack, &redis.url()).await;
        let mut settings = deployment.settings().clone();
        settings.remove("ROLLCALL_JWKS_FILE");
        settings.insert("ROLLCALL_ADDR".to_owned(), format!("127.0.0.1:{}", free_port()));
        Self { deployment, redis, stack, settings, process: None }
    }

    /// `rollcall` with its settings.
    pub fn cli(&self) -> Cli {
        Cli::with(self.settings.clone())
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.settings["ROLLCALL_ADDR"])
    }

    /// Starts it with more settings, and waits until it answers. It may wait for an operator.
    ///
    /// # Panics
    /// It ends before that.
    pub async fn start(&mut self, extra: &[(&str, &str)]) {
        let mut settings = self.settings.clone();
        settings.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut run = command("rollcall", &settings);
        run.arg("run");
        let log = self.deployment.home().join("run.log");
        let mut process = Process::start(&run, &log);
        let url = format!("{}/health/live", self.url());
        until(&format!("rollcall run answers ({})", log.display()), async || {
            assert!(process.ended().is_none(), "rollcall run has ended: {}", process.output());
            reqwest::get(&url).await.ok().filter(|answer| answer.status().is_success())
        })
        .await;
        self.process = Some(process);
    }

    /// Stops it.
    ///
    /// # Panics
    /// It does not end with 0, or was not running.
    pub fn stop(&mut self) {
        let status = self.process.take().expect("it runs").stop();
        assert!(status.success(), "rollcall run ended with {status}");
    }

    /// Drops the database and creates an empty one of that name.
    ///
    /// # Panics
    /// PostgreSQL refuses.
    pub async fn lose_database(&self) {
        let name = self.deployment.prefix.trim_end_matches('.').to_owned();
        let server = PgPool::connect(self.stack.var("DATABASE_URL")).await.expect("the stack's Postgres");
        for sql in [format!("DROP DATABASE {name} WITH (FORCE)"), format!("CREATE DATABASE {name}")] {
            sqlx::query(AssertSqlSafe(sql)).execute(&server).await.expect("another database");
        }
        server.close().await;
    }

    /// A shell with its settings, in its home.
    pub fn shell(&self) -> Shell {
        let mut variables = self.settings.clone();
        variables.insert("URL".to_owned(), self.url());
        Shell::start(self.deployment.home(), &variables)
    }
}
