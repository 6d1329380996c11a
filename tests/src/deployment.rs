//! The three services started apart, on a topic prefix and a database of their own: something to break.

use crate::{
    Api, Cli, Process, Record, Stack, cli::command, free_port, read_topic, scratch, stack::new_tenant, until,
};
use sqlx::{AssertSqlSafe, PgPool};
use std::{collections::BTreeMap, path::PathBuf};
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

    fn program(self) -> &'static str {
        match self {
            Self::Command => "command-service",
            Self::Query => "query-service",
            Self::Projector => "projector",
        }
    }
}

/// The services with what they share.
pub struct Deployment {
    /// The name that its topics begin with.
    pub prefix: String,
    /// Its database.
    pub database: PgPool,
    /// The operator's program beside it.
    pub cli: Cli,
    stack: &'static Stack,
    settings: BTreeMap<String, String>,
    dir: PathBuf,
    ports: BTreeMap<Service, u16>,
    running: BTreeMap<Service, Process>,
}

impl Deployment {
    /// Starts the three on the stack's servers; `redis_url` is a Redis (or a database of one) that nobody else uses.
    pub async fn start(stack: &'static Stack, redis_url: &str) -> Self {
        Self::start_with(stack, redis_url, &[]).await
    }

    /// The same with further settings.
    pub async fn start_with(stack: &'static Stack, redis_url: &str, settings: &[(&str, &str)]) -> Self {
        let mut deployment = Self::prepare(stack, redis_url).await;
        deployment
            .settings
            .extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        deployment.cli.run(&["migrate"]).expect(0);
        for service in Service::ALL {
            deployment.launch(service);
        }
        for service in Service::ALL {
            deployment.ready(service).await;
        }
        deployment
    }

    /// Everything but schema, topics and processes.
    async fn prepare(stack: &'static Stack, redis_url: &str) -> Self {
        let name = format!("d{}", &Uuid::new_v4().simple().to_string()[..12]);
        let (database_url, database) = create_database(stack.var("DATABASE_URL"), &name).await;
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
            database,
            cli: Cli::with(settings.clone()),
            stack,
            settings,
            dir,
            ports: Service::ALL.map(|service| (service, free_port())).into(),
            running: BTreeMap::new(),
        }
    }

    /// Starts a service and waits for nothing.
    pub fn launch(&mut self, service: Service) {
        let mut settings = self.settings.clone();
        settings.insert("ROLLCALL_ADDR".to_owned(), format!("127.0.0.1:{}", self.ports[&service]));
        let log = self.dir.join(format!("{}.log", service.program()));
        let process = Process::start(&command(service.program(), &settings), &log);
        self.running.insert(service, process);
    }

    /// Waits until a service says that it is ready.
    pub async fn ready(&mut self, service: Service) {
        let url = format!("{}/health/ready", self.url(service));
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        until(&format!("{service:?} is ready ({})", self.dir.display()), async || {
            let ended = self.running.get_mut(&service).expect("it was started").ended();
            assert!(ended.is_none(), "{service:?} has ended: {ended:?}; see {}", self.dir.display());
            http.get(&url).send().await.ok().filter(|answer| answer.status().is_success())
        })
        .await;
    }

    /// Kills a service outright.
    pub fn kill(&mut self, service: Service) {
        self.running.remove(&service);
    }

    /// Asks a service to stop; it must exit with 0.
    ///
    /// # Panics
    /// It does not, or was not running.
    pub fn stop(&mut self, service: Service) {
        let status = self.running.remove(&service).expect("it runs").stop();
        assert!(status.success(), "{service:?} ended with {status}; see {}", self.dir.display());
    }

    /// Kills a service and starts it again.
    pub async fn crash(&mut self, service: Service) {
        self.kill(service);
        self.launch(service);
        self.ready(service).await;
    }

    /// Where a service listens.
    pub fn url(&self, service: Service) -> String {
        format!("http://127.0.0.1:{}", self.ports[&service])
    }

    /// A client of a new tenant.
    pub fn tenant(&self) -> Api {
        let tenant = new_tenant();
        Api::new(&self.url(Service::Query), &self.url(Service::Command), &tenant, &self.stack.token(&tenant))
    }

    /// Everything in one of its topics.
    pub async fn topic(&self, name: &str) -> Vec<Record> {
        read_topic(self.stack.var("KAFKA_BROKERS"), &format!("{}{name}", self.prefix)).await
    }
}

async fn create_database(server: &str, name: &str) -> (String, PgPool) {
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
