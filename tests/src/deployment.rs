//! The three services started apart, one or more instances of each, on a topic prefix and a database of their own: something to break.

use crate::{
    Api, Cli, Keyring, Process, Record, Stack, cli::command, free_port, read_topic, scratch,
    stack::new_tenant, until,
};
use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, PgPool};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitStatus,
};
use uuid::Uuid;

/// One of the three.
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

/// The services with what they share. What names no instance means the first one, number 0.
pub struct Deployment {
    /// The name that its topics begin with.
    pub prefix: String,
    /// Its database.
    pub database: PgPool,
    /// The one with its key store; the same unless a setting says otherwise.
    pub keys: PgPool,
    /// The operator's program beside it.
    pub cli: Cli,
    stack: &'static Stack,
    settings: BTreeMap<String, String>,
    dir: PathBuf,
    instances: BTreeMap<(Service, usize), Instance>,
}

/// One process of a service, with an address that it keeps.
struct Instance {
    port: u16,
    /// While it is meant to run.
    process: Option<Process>,
}

impl Deployment {
    /// Starts the three on the stack's servers; `redis_url` is a Redis (or a database of one) that nobody else uses.
    pub async fn start(stack: &'static Stack, redis_url: &str) -> Self {
        Self::start_with(stack, redis_url, &[]).await
    }

    /// The same with further settings.
    pub async fn start_with(stack: &'static Stack, redis_url: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_many(stack, redis_url, 1, settings).await
    }

    /// The same with so many instances of each.
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

    /// Everything but schema, topics and processes.
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

    /// Starts a service and waits for nothing.
    pub fn launch(&mut self, service: Service) {
        self.launch_instance(service, 0, &[]);
    }

    /// Starts an instance, a new one or one that was there, with settings of its own; waits for nothing.
    pub fn launch_instance(&mut self, service: Service, n: usize, extra: &[(&str, &str)]) {
        let log = self.log_path(service, n);
        let instance = self.instances.entry((service, n)).or_insert_with(Instance::new);
        // One that still runs would keep the port.
        instance.process = None;
        let mut settings = self.settings.clone();
        settings.insert("ROLLCALL_ADDR".to_owned(), format!("127.0.0.1:{}", instance.port));
        settings.extend(owned(extra));
        instance.process = Some(Process::start(&command(service.program(), &settings), &log));
    }

    /// Waits until a service says that it is ready.
    pub async fn ready(&mut self, service: Service) {
        self.ready_instance(service, 0).await;
    }

    /// Waits until an instance says that it is ready.
    ///
    /// # Panics
    /// It ends before.
    pub async fn ready_instance(&mut self, service: Service, n: usize) {
        let url = format!("{}/health/ready", self.instance_url(service, n));
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        let log = self.log_path(service, n);
        until(&format!("{service:?} {n} is ready ({})", log.display()), async || {
            let ended = self.has_ended(service, n);
            assert!(ended.is_none(), "{service:?} {n} has ended: {ended:?}; see {}", log.display());
            http.get(&url).send().await.ok().filter(|answer| answer.status().is_success())
        })
        .await;
    }

    /// Kills a service outright.
    pub fn kill(&mut self, service: Service) {
        self.kill_instance(service, 0);
    }

    /// Kills an instance outright, if it runs.
    pub fn kill_instance(&mut self, service: Service, n: usize) {
        self.instance(service, n).process = None;
    }

    /// Asks a service to stop; it must exit with 0.
    ///
    /// # Panics
    /// It does not, or was not running.
    pub fn stop(&mut self, service: Service) {
        self.stop_instance(service, 0);
    }

    /// Asks an instance to stop; it must exit with 0.
    ///
    /// # Panics
    /// It does not, or was not running.
    pub fn stop_instance(&mut self, service: Service, n: usize) {
        let status = self.instance(service, n).process.take().expect("it runs").stop();
        assert!(
            status.success(),
            "{service:?} {n} ended with {status}; see {}",
            self.log_path(service, n).display()
        );
    }

    /// Kills a service and starts it again.
    pub async fn crash(&mut self, service: Service) {
        self.crash_instance(service, 0).await;
    }

    /// Kills an instance and starts it again, without the settings of its own that it may have had.
    pub async fn crash_instance(&mut self, service: Service, n: usize) {
        self.launch_instance(service, n, &[]);
        self.ready_instance(service, n).await;
    }

    /// Freezes an instance: it holds its connections and does nothing.
    pub fn freeze(&self, service: Service, n: usize) {
        self.process(service, n).signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn thaw(&self, service: Service, n: usize) {
        self.process(service, n).signal(Signal::SIGCONT);
    }

    /// How an instance that was started has ended, if it has by itself.
    pub fn has_ended(&mut self, service: Service, n: usize) -> Option<ExitStatus> {
        self.instance(service, n).process.as_mut().expect("it was started").ended()
    }

    /// Its `ROLLCALL_HOME`.
    pub fn home(&self) -> &Path {
        &self.dir
    }

    /// Where a service listens.
    pub fn url(&self, service: Service) -> String {
        self.instance_url(service, 0)
    }

    /// Where an instance listens.
    pub fn instance_url(&self, service: Service, n: usize) -> String {
        format!("http://127.0.0.1:{}", self.instances[&(service, n)].port)
    }

    /// Where the instances of a service listen, those that are down too.
    pub fn urls(&self, service: Service) -> Vec<String> {
        let numbers = self.instances.keys().filter(|(of, _)| *of == service);
        numbers.map(|(_, n)| self.instance_url(service, *n)).collect()
    }

    /// What an instance prints, over all its starts.
    pub fn log_path(&self, service: Service, n: usize) -> PathBuf {
        self.dir.join(format!("{}-{n}.log", service.program()))
    }

    /// A client of a new tenant.
    pub fn tenant(&self) -> Api {
        self.tenant_via(&self.url(Service::Command), &self.url(Service::Query))
    }

    /// A client of a new tenant that speaks to these instances, or to whatever stands before them.
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

    /// Where its Kafka is.
    pub fn brokers(&self) -> &str {
        self.stack.var("KAFKA_BROKERS")
    }

    /// Everything in `users.events`, as somebody reads it who has the keys, those of deleted users too.
    pub async fn log(&self) -> Vec<Record> {
        let records = self.topic("users.events").await;
        Keyring::read(&self.dir, &self.keys).await.opened(records)
    }

    /// What its Kafka prints, where the stack has started it.
    pub fn kafka_log(&self) -> PathBuf {
        self.stack.home.join("logs/kafka.log")
    }

    /// Everything in one of its topics.
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

/// A new database on the stack's server: its URL, and connections to it.
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
