//! A deployment for tests to break: the three services as separate processes, one or more instances
//! of each, with their own topic prefix and database.

use crate::{
    Api, Cli, Keyring, Process, Record, Stack,
    cli::command,
    free_port, read_topic, scratch,
    stack::{VISIBILITY_TIMEOUT, new_tenant},
    until,
};
use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, PgPool};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitStatus,
};
use uuid::Uuid;

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// command-service
    Command,
    /// query-service
    Query,
    /// projector
    Projector,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Command, Self::Query, Self::Projector];

    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Command => "command-service",
            Self::Query => "query-service",
            Self::Projector => "projector",
        }
    }
}

/// The deployment. Functions without an instance act on the first one, number 0.
pub struct Deployment {
    /// The prefix of its topics.
    pub prefix: String,
    /// Its database.
    pub database: PgPool,
    /// The database of the key store: the same one, unless a setting names another.
    pub keys: PgPool,
    /// `rollcall` for this deployment.
    pub cli: Cli,
    stack: &'static Stack,
    settings: BTreeMap<String, String>,
    dir: PathBuf,
    instances: BTreeMap<(Service, usize), Instance>,
}

/// An instance of a service. It keeps its address across restarts.
struct Instance {
    port: u16,
    /// The process, if it should run.
    process: Option<Process>,
}

impl Deployment {
    /// Starts the services on the stack's servers. `redis_url` is a Redis, or a database of one,
    /// that nobody else uses.
    pub async fn start(stack: &'static Stack, redis_url: &str) -> Self {
        Self::start_with(stack, redis_url, &[]).await
    }

    /// The same with more settings.
    pub async fn start_with(stack: &'static Stack, redis_url: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_many(stack, redis_url, 1, settings).await
    }

    /// The same with several instances of each service.
    pub async fn start_many(
        stack: &'static Stack,
        redis_url: &str,
        instances_of_each: usize,
        settings: &[(&str, &str)],
    ) -> Self {
        let mut deployment = Self::prepare(stack, redis_url).await;
        deployment.settings.extend(owned(settings));
        deployment.cli = Cli::with(deployment.settings.clone());
        if let Some(url) = deployment.settings.get("ROLLCALL_KEYS_DATABASE_URL") {
            deployment.keys = PgPool::connect(url).await.expect("the key store's database");
        }
        deployment.cli.run(&["migrate"]).expect(0);
        Keyring::back_up(&deployment.keys).await;
        let all =
            || Service::ALL.into_iter().flat_map(|service| (0..instances_of_each).map(move |n| (service, n)));
        for (service, n) in all() {
            deployment.launch_instance(service, n, &[]);
        }
        for (service, n) in all() {
            deployment.ready_instance(service, n).await;
        }
        deployment
    }

    /// The deployment without schema, topics and processes.
    pub async fn prepare(stack: &'static Stack, redis_url: &str) -> Self {
        let name = format!("d{}", &Uuid::new_v4().simple().to_string()[..12]);
        let (database_url, database) = new_database(stack, &name).await;
        let dir = scratch(&name);
        let settings: BTreeMap<_, _> = [
            ("ROLLCALL_HOME", dir.display().to_string()),
            ("ROLLCALL_TOPIC_PREFIX", format!("{name}.")),
            ("ROLLCALL_PARTITIONS", "4".to_owned()),
            ("ROLLCALL_JWKS_FILE", stack.home.join("jwks.json").display().to_string()),
            ("DATABASE_URL", database_url),
            ("REDIS_URL", redis_url.to_owned()),
            ("KAFKA_BROKERS", stack.var("KAFKA_BROKERS").to_owned()),
            (VISIBILITY_TIMEOUT.0, VISIBILITY_TIMEOUT.1.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        Self {
            prefix: format!("{name}."),
            keys: database.clone(),
            database,
            cli: Cli::with(settings.clone()),
            stack,
            settings,
            dir,
            instances: Service::ALL.map(|service| ((service, 0), Instance::new())).into(),
        }
    }

    /// Starts a service without waiting for it.
    pub fn launch(&mut self, service: Service) {
        self.launch_instance(service, 0, &[]);
    }

    /// Starts a new or a former instance with its own settings, without waiting for it.
    pub fn launch_instance(&mut self, service: Service, n: usize, extra: &[(&str, &str)]) {
        let log = self.log_path(service, n);
        let instance = self.instances.entry((service, n)).or_insert_with(Instance::new);
        // A running one would keep the port.
        instance.process = None;
        let mut settings = self.settings.clone();
        settings.insert("ROLLCALL_ADDR".to_owned(), format!("127.0.0.1:{}", instance.port));
        settings.extend(owned(extra));
        instance.process = Some(Process::start(&command(service.program(), &settings), &log));
    }

    /// Waits until a service is ready.
    pub async fn ready(&mut self, service: Service) {
        self.ready_instance(service, 0).await;
    }

    /// Waits until an instance is ready.
    ///
    /// # Panics
    /// It ends before that.
    pub async fn ready_instance(&mut self, service: Service, n: usize) {
        let url = format!("{}/health/ready", self.instance_url(service, n));
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        let log = self.log_path(service, n);
        until(&format!("{service:?} {n} is ready ({})", log.display()), async || {
            let ended = self.has_ended(service, n);
            assert!(
                ended.is_none(),
                "{service:?} {n} has ended: {ended:?}\n{}",
                self.process(service, n).last_lines()
            );
            http.get(&url).send().await.ok().filter(|answer| answer.status().is_success())
        })
        .await;
    }

    /// Kills a service with SIGKILL.
    pub fn kill(&mut self, service: Service) {
        self.kill_instance(service, 0);
    }

    /// Kills an instance with SIGKILL, if it runs.
    pub fn kill_instance(&mut self, service: Service, n: usize) {
        self.instance(service, n).process = None;
    }

    /// Stops a service, which must exit with 0.
    ///
    /// # Panics
    /// It does not, or was not running.
    pub fn stop(&mut self, service: Service) {
        self.stop_instance(service, 0);
    }

    /// Stops an instance, which must exit with 0.
    ///
    /// # Panics
    /// It does not, or was not running.
    pub fn stop_instance(&mut self, service: Service, n: usize) {
        let mut process = self.instance(service, n).process.take().expect("it runs");
        let status = process.stop();
        assert!(status.success(), "{service:?} {n} ended with {status}\n{}", process.last_lines());
    }

    /// Kills and restarts a service.
    pub async fn crash(&mut self, service: Service) {
        self.crash_instance(service, 0).await;
    }

    /// Kills and restarts an instance, without its own settings.
    pub async fn crash_instance(&mut self, service: Service, n: usize) {
        self.launch_instance(service, n, &[]);
        self.ready_instance(service, n).await;
    }

    /// Freezes an instance: it keeps its connections and does nothing.
    pub fn freeze(&self, service: Service, n: usize) {
        self.process(service, n).signal(Signal::SIGSTOP);
    }

    /// Resumes it.
    pub fn thaw(&self, service: Service, n: usize) {
        self.process(service, n).signal(Signal::SIGCONT);
    }

    /// The exit status of a started instance, if it has ended by itself.
    pub fn has_ended(&mut self, service: Service, n: usize) -> Option<ExitStatus> {
        self.instance(service, n).process.as_mut().expect("it was started").ended()
    }

    /// Its `ROLLCALL_HOME`.
    pub fn home(&self) -> &Path {
        &self.dir
    }

    /// The address of a service.
    pub fn url(&self, service: Service) -> String {
        self.instance_url(service, 0)
    }

    /// The address of an instance.
    pub fn instance_url(&self, service: Service, n: usize) -> String {
        format!("http://127.0.0.1:{}", self.instances[&(service, n)].port)
    }

    /// The addresses of all instances of a service, running or not.
    pub fn urls(&self, service: Service) -> Vec<String> {
        let numbers = self.instances.keys().filter(|(of, _)| *of == service);
        numbers.map(|(_, n)| self.instance_url(service, *n)).collect()
    }

    /// The log file of an instance, over all its starts.
    pub fn log_path(&self, service: Service, n: usize) -> PathBuf {
        self.dir.join(format!("{}-{n}.log", service.program()))
    }

    /// A client of a new tenant.
    pub fn tenant(&self) -> Api {
        self.tenant_via(&self.url(Service::Command), &self.url(Service::Query))
    }

    /// A client of a new tenant for these instances, or for a proxy before them.
    pub fn tenant_via(&self, command_url: &str, query_url: &str) -> Api {
        let tenant = new_tenant();
        Api::new(query_url, command_url, &tenant, &self.stack.token(&tenant))
    }

    fn instance(&mut self, service: Service, n: usize) -> &mut Instance {
        self.instances.get_mut(&(service, n)).expect("there is such an instance")
    }

    fn process(&self, service: Service, n: usize) -> &Process {
        self.instances[&(service, n)].process.as_ref().expect("it runs")
    }

    /// The address of its Kafka.
    pub fn brokers(&self) -> &str {
        self.stack.var("KAFKA_BROKERS")
    }

    /// The settings of its services.
    pub fn settings(&self) -> &BTreeMap<String, String> {
        &self.settings
    }

    /// All of `users.events`, decrypted with all keys, including those of deleted users.
    pub async fn log(&self) -> Vec<Record> {
        let records = self.topic("users.events").await;
        Keyring::read(&self.dir, &self.keys).await.opened(records)
    }

    /// The log of its Kafka, if the stack started it.
    pub fn kafka_log(&self) -> PathBuf {
        self.stack.home.join("logs/kafka.log")
    }

    /// All records of one of its topics.
    pub async fn topic(&self, name: &str) -> Vec<Record> {
        read_topic(self.brokers(), &format!("{}{name}", self.prefix)).await
    }
}

impl Instance {
    fn new() -> Self {
        Self { port: free_port(), process: None }
    }
}

fn owned<'a>(settings: &'a [(&str, &str)]) -> impl Iterator<Item = (String, String)> + 'a {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
}

/// Creates a database on the stack's server. Returns its URL and a pool.
///
/// # Panics
/// The server refuses.
pub async fn new_database(stack: &Stack, name: &str) -> (String, PgPool) {
    let server = stack.var("DATABASE_URL");
    let admin = PgPool::connect(server).await.expect("the stack's Postgres");
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&admin)
        .await
        .expect("a new database");
    let (address, options) = server.split_once('?').map_or((server, None), |(a, o)| (a, Some(o)));
    let (base, _) = address.rsplit_once('/').expect("a database URL names a database");
    let options = options.map(|options| format!("?{options}")).unwrap_or_default();
    let url = format!("{base}/{name}{options}");
    let pool = PgPool::connect(&url).await.expect("the new database");
    (url, pool)
}
