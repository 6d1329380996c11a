//! A deployment with users in every partition, one to be poisoned and one to go on.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use tests::{Answer, Api, Cli, Deployment, Output, RedisServer, Service, Stack, until};

/// The partitions of test deployments.
pub const PARTITIONS: i32 = 4;

/// The deployment.
pub struct Bench {
    pub deployment: Deployment,
    pub api: Api,
    /// An unaffected user in each partition.
    neighbours: BTreeMap<i32, String>,
    _redis: RedisServer,
}

/// A user in the log.
pub struct Created {
    pub id: String,
    pub key: String,
    pub partition: i32,
}

impl Bench {
    pub async fn start(stack: &'static Stack) -> Self {
        let redis = RedisServer::start().await;
        let deployment = Deployment::start(stack, &redis.url()).await;
        let api = deployment.tenant();
        let mut bench = Self { deployment, api, neighbours: BTreeMap::new(), _redis: redis };
        let mut neighbours = BTreeMap::new();
        until("each partition has a user", async || {
            let created = bench.create().await;
            neighbours.insert(created.partition, created.id);
            (neighbours.len() == 4).then_some(())
        })
        .await;
        bench.neighbours = neighbours;
        bench
    }

    /// A new user.
    pub async fn create(&self) -> Created {
        let created = self.api.create(json!({ "claims": { "n": 1 } })).await.expect(201);
        let (id, (partition, _)) = (created.id(), created.position());
        Created { key: format!("{}/{id}", self.api.tenant), id, partition }
    }

    /// Replaces a user's claims.
    pub async fn update(&self, id: &str, n: u32) -> Answer {
        self.api.update(id, json!({ "claims": { "n": n } })).await
    }

    /// Replaces a user's claims and waits until that is visible, which may take long while
    /// projectors restart.
    pub async fn updated(&self, id: &str, n: u32) {
        let written = self.update(id, n).await;
        assert!(matches!(written.status, 200 | 202), "{}: {}", written.status, written.text());
        let position = written.header("log-position");
        let shown = until("the update is visible", async || {
            let shown = self.api.get(id).header("Read-After", position).await;
            (shown.status == 200).then_some(shown)
        })
        .await;
        assert_eq!((shown.version(), &shown.json()["claims"]), (written.version(), &json!({ "n": n })));
    }

    /// Writes into every partition and waits until that is visible, so that everything before is
    /// folded.
    pub async fn all_partitions_go_on(&self) {
        for id in self.neighbours.values() {
            self.updated(id, 2).await;
        }
    }

    /// All writes of the user are rejected with a message, and reads show the user unchanged.
    pub async fn is_parked(&self, user: &Created, version: u64) {
        for answer in [self.update(&user.id, 9).await, self.api.delete(&user.id).await] {
            let problem = answer.expect(409).json();
            assert_eq!(problem["code"], "Conflict");
            let message = problem["message"].as_str().unwrap();
            assert!(message.starts_with("Events of this user wait for an operator"), "{message}");
        }
        assert_eq!(self.api.get(&user.id).await.expect(200).version(), version);
    }

    /// The user can be written normally.
    pub async fn goes_on(&self, user: &Created) {
        let before = self.api.get(&user.id).await.expect(200).version();
        self.updated(&user.id, 3).await;
        assert_eq!(self.api.get(&user.id).await.expect(200).version(), before + 1);
    }

    pub fn cli(&self) -> &Cli {
        &self.deployment.cli
    }

    /// Runs a verb of `dead-letters`.
    pub fn dead_letters(&self, args: &[&str]) -> Output {
        self.cli().run(&[&["dead-letters"], args].concat())
    }

    /// All dead letters as JSON.
    pub fn letters(&self) -> Vec<Value> {
        self.dead_letters(&["list", "--json"]).expect(0).json_lines()
    }

    /// The dead letters of a user as JSON.
    pub fn letters_of(&self, user: &Created) -> Vec<Value> {
        let args = ["list", "--json", "--tenant", &self.api.tenant, "--user", &user.id];
        self.dead_letters(&args).expect(0).json_lines()
    }

    /// Rebuilds the read model with the build of `cli`, whatever it can't read.
    pub async fn rebuild(&self, cli: &Cli) {
        let cli = cli.clone();
        let run = tokio::task::spawn_blocking(move || {
            cli.run(&["projection", "rebuild", "--promote", "--accept-set-aside"])
        });
        run.await.unwrap().expect(0);
    }

    /// The pause in `projection status`.
    pub fn pause(&self) -> Value {
        self.cli().run(&["projection", "status", "--json"]).expect(0).json()["paused"].clone()
    }

    /// Waits until the projector's health reports a pause with these words.
    pub async fn is_stopped(&self, words: &str) {
        let url = format!("{}/health/ready", self.deployment.url(Service::Projector));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        until(&format!("the projector says: {words}"), async || {
            let answer = http.get(&url).send().await.ok()?;
            let is_unready = answer.status() == 503;
            let report: Value = answer.json().await.ok()?;
            let reason = report["dependencies"]["projector"]["reason"].as_str()?;
            (is_unready && reason.contains(words)).then_some(())
        })
        .await;
    }

    /// Topic, partition, offset and epoch of every checkpoint.
    pub async fn checkpoints(&self) -> Vec<Value> {
        let rows = "SELECT to_jsonb(c) FROM (SELECT topic, partition, next_offset FROM live.checkpoints \
            ORDER BY topic, partition) c";
        sqlx::query_scalar(rows).fetch_all(&self.deployment.database).await.unwrap()
    }
}

/// The id of a dead letter.
pub fn letter_id(topic: &str, (partition, offset): (i32, i64)) -> String {
    format!("{topic}:{partition}:{offset}")
}

/// A member of each dead letter, as text.
pub fn texts(letters: &[Value], member: &str) -> Vec<String> {
    letters.iter().map(|letter| letter[member].as_str().unwrap_or_default().to_owned()).collect()
}
