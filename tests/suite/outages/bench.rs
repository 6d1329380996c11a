//! A deployment that can lose its servers without affecting others.

use super::{bounded, ledger::Ledger};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::{Api, Deployment, Proxy, RedisServer, Service, Stack, until};

/// The deployment, with proxies before its servers.
pub struct Bench {
    pub deployment: Deployment,
    pub kafka: Proxy,
    pub postgres: Proxy,
    pub redis: Proxy,
    pub redis_server: RedisServer,
    pub api: Api,
    pub ledger: Ledger,
    settings: Vec<(&'static str, String)>,
}

impl Bench {
    /// The deployment without its services.
    pub async fn prepare(stack: &'static Stack) -> Self {
        let redis_server = RedisServer::start().await;
        let deployment = Deployment::prepare(stack, &redis_server.url()).await;
        let (server, _) = stack.var("DATABASE_URL").rsplit_once('/').unwrap();
        let database = format!("{server}/{}", deployment.prefix.trim_end_matches('.'));
        let brokers = stack.var("KAFKA_BROKERS");
        let (kafka, postgres, redis) = (
            Proxy::before(brokers).await,
            Proxy::before(&database).await,
            Proxy::before(&redis_server.url()).await,
        );
        let settings = vec![
            // Only the first connection, because a broker tells clients its own address.
            ("KAFKA_BROKERS", kafka.url(brokers)),
            ("DATABASE_URL", postgres.url(&database)),
            ("REDIS_URL", redis.url(&redis_server.url())),
        ];
        let (api, ledger) = (deployment.tenant(), Ledger::default());
        Self { deployment, kafka, postgres, redis, redis_server, api, ledger, settings }
    }

    /// The deployment with running services.
    pub async fn start(stack: &'static Stack) -> Self {
        let mut bench = Self::prepare(stack).await;
        bench.deployment.cli.run(&["migrate"]).expect(0);
        Service::ALL.into_iter().for_each(|service| bench.launch(service));
        bench.ready().await;
        bench
    }

    /// Starts a service without waiting for it.
    pub fn launch(&mut self, service: Service) {
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.deployment.launch_instance(service, 0, &settings);
    }

    /// Waits until all started services are ready.
    pub async fn ready(&mut self) {
        for service in Service::ALL {
            self.deployment.ready(service).await;
        }
    }

    /// A user to be read.
    pub async fn probe(&self) -> String {
        self.api.user(json!({ "kind": "probe" })).await
    }

    /// A service's `/health/ready`: the status, and the dependencies that are down. `None` if it
    /// does not listen yet.
    pub async fn health(&self, service: Service) -> Option<(u16, BTreeSet<String>)> {
        let url = self.deployment.url(service);
        let asked = self.api.at(&url, &url).anonymous().path(Method::GET, "/health/ready");
        let answer = bounded("health is told", asked.attempt()).await.ok()?;
        Some((answer.status, down(&answer.json())))
    }

    /// Waits until a service is not ready because exactly these dependencies (and maybe `perhaps`)
    /// are down.
    pub async fn lacks(&self, service: Service, wanted: &[&str], perhaps: &[&str]) {
        let wanted: BTreeSet<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        until(&format!("{service:?} lacks {wanted:?}"), async || {
            let (status, mut down) = self.health(service).await?;
            down.retain(|name| !perhaps.contains(&name.as_str()));
            (status == 503 && down == wanted).then_some(())
        })
        .await;
    }

    /// The number of reads that the cache has answered.
    pub async fn hits(&self) -> u64 {
        let metrics = self.api.path(Method::GET, "/metrics").attempt().await.unwrap();
        let line = metrics
            .text()
            .lines()
            .find(|line| line.starts_with("rollcall_cache_reads_total{result=\"hit\"}"));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_default()
    }

    /// Compares the log with the answers.
    pub async fn check(&self) {
        self.ledger.check(&self.api, &self.deployment.log().await).await;
    }
}

/// The dependencies that a report says are down.
pub fn down(report: &Value) -> BTreeSet<String> {
    let all = report["dependencies"].as_object().expect("health names its dependencies");
    all.iter().filter(|(_, state)| state["status"] == "down").map(|(name, _)| name.clone()).collect()
}
