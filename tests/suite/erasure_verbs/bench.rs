//! A deployment with a tenant, and the verbs about its users.

use serde_json::{Value, json};
use tests::{Api, Deployment, Output, RedisServer, Stack};
use uuid::Uuid;

pub struct Bench {
    pub deployment: Deployment,
    pub api: Api,
    pub redis: RedisServer,
}

/// Personal data that only the export may print.
pub fn marker() -> String {
    format!("marker{}", Uuid::new_v4().simple())
}

impl Bench {
    pub async fn start(stack: &'static Stack, settings: &[(&str, &str)]) -> Self {
        let redis = RedisServer::start().await;
        let deployment = Deployment::start_with(stack, &redis.url(), settings).await;
        Self { api: deployment.tenant(), deployment, redis }
    }

    /// A user with two versions and a marker in all personal data.
    pub async fn user(&self, marker: &str) -> String {
        let link = json!({ "subjectId": marker });
        let user = json!({ "claims": { "name": marker }, "authenticationProvider": link });
        let id = self.api.create(user).await.expect(201).id();
        self.api.update(&id, json!({ "claims": { "other": marker } })).await.expect(200);
        id
    }

    /// Issues a credential to a user.
    pub fn issue_credential(&self, user: &str) {
        let credential = json!({ "userId": user, "id": Uuid::new_v4(), "type": "T", "profile": "compact" });
        let args = ["log", "import", "-", "--credentials", "--tenant", &self.api.tenant];
        self.deployment.cli.run_with(&args, &credential.to_string()).expect(0);
    }

    /// Runs a verb on a user.
    pub fn on(&self, verb: &[&str], user: &str, more: &[&str]) -> Output {
        let args = [verb, &["--tenant", &self.api.tenant, "--user", user], more].concat();
        self.deployment.cli.run(&args)
    }

    /// A proof as text.
    pub fn prove(&self, user: &str) -> Output {
        self.on(&["erasure", "prove"], user, &[])
    }

    /// A proof as JSON, with that exit code.
    #[track_caller]
    pub fn proof(&self, user: &str, code: i32) -> Value {
        summary(&self.on(&["erasure", "prove"], user, &["--json"]).expect(code))
    }

    /// An audit as JSON, with that exit code.
    #[track_caller]
    pub fn audit(&self, code: i32) -> Value {
        summary(&self.deployment.cli.run(&["erasure", "audit", "--json"]).expect(code))
    }

    /// Runs a statement as the database's owner.
    pub async fn sql(&self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(&self.deployment.database).await.expect("the statement is taken");
    }
}

/// The last JSON line. Those before it are progress.
#[track_caller]
pub fn summary(output: &Output) -> Value {
    let mut lines = output.json_lines();
    let last = lines.pop().expect("a summary");
    assert!(!lines.is_empty() && lines.iter().all(|line| line["progress"]["step"].is_string()), "{lines:?}");
    assert!(last["summary"].is_object(), "{last}");
    last["summary"].clone()
}

/// The findings: kinds and counts.
pub fn found(report: &Value) -> Vec<(String, u64)> {
    let counts = if report["counts"].is_array() { &report["counts"] } else { &report["findings"] };
    let pair = |found: &Value| (found["kind"].as_str().unwrap().to_owned(), found["count"].as_u64().unwrap());
    counts.as_array().unwrap().iter().map(pair).collect()
}

/// Whether findings of that kind exist.
pub fn has(report: &Value, kind: &str) -> bool {
    found(report).iter().any(|(found, _)| found == kind)
}
