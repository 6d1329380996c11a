//! The consumers of docs/consumers count what the log says, also when they are killed on the way.

use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use tests::{
    Api, Deployment, Foreign, Process, RedisServer, Stack,
    contracts::{output, python, tools},
    scratch, until, workspace,
};

const TYPES: [(&str, &str); 3] = [
    ("user.created.v1", "USER_CREATE_SUCCESS"),
    ("user.updated.v1", "USER_UPDATE_SUCCESS"),
    ("user.deleted.v1", "USER_DELETE_SUCCESS"),
];

/// A consumer's command and the file of its totals.
struct Consumer {
    name: &'static str,
    follow: Command,
    until_end: Command,
    state: PathBuf,
}

impl Consumer {
    fn python(deployment: &Deployment, dir: &Path) -> Self {
        let state = dir.join("python.json");
        let command = || {
            let mut command = python(docs().join("python/consumer.py"));
            command.arg("--state").arg(&state);
            command.args(["--brokers", deployment.brokers(), "--prefix", &deployment.prefix]);
            command
        };
        let mut until_end = command();
        until_end.arg("--until-end");
        Self { name: "python", follow: command(), until_end, state }
    }

    fn java(deployment: &Deployment, dir: &Path) -> Self {
        let classes = format!("{0}/classes:{0}/libs/*", tools().join("consumer/target").display());
        let state = dir.join("java.properties");
        let command = || {
            let mut command = Command::new("java");
            command.args([
                "-Xmx128m",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                &classes,
                "Consumer",
                deployment.brokers(),
            ]);
            command.arg(&state).arg(&deployment.prefix);
            command
        };
        let mut until_end = command();
        until_end.arg("--until-end");
        Self { name: "java", follow: command(), until_end, state }
    }

    /// Runs it until it has saved something, and kills it.
    async fn is_killed(&self, dir: &Path) {
        let mut process = Process::start(&self.follow, &dir.join(format!("{}.log", self.name)));
        until(&format!("the {} consumer has saved", self.name), async || {
            assert!(process.ended().is_none(), "{}", process.output());
            self.state.exists().then_some(())
        })
        .await;
    }

    /// Its totals at the end, and how many records it read for them.
    fn finish(mut self) -> (String, usize) {
        let output = self.until_end.output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{}: {errors}", self.name);
        let records = errors.lines().find_map(|line| line.strip_suffix(" records")?.parse().ok());
        (String::from_utf8(output.stdout).unwrap(), records.expect("it says how many it read"))
    }
}

fn docs() -> PathBuf {
    workspace().join("docs/consumers")
}

/// Some users, some of them updated or deleted, and a superseded deletion.
async fn write(deployment: &Deployment, tenants: &[Api]) {
    for api in tenants {
        for n in 0..12 {
            let id = api.user(json!({ "n": n })).await;
            for m in 0..n % 3 {
                api.update(&id, json!({ "claims": { "m": m } })).await.expect(200);
            }
            let superseded = Foreign::deletion(&format!("{}/{id}", api.tenant), 1);
            deployment.append("users.events", &[superseded]).await;
            if n % 4 == 0 {
                api.delete(&id).await.expect(204);
            }
        }
    }
}

/// What the log holds: a line for each tenant, as the consumers print it.
async fn expected(deployment: &Deployment, tenants: &[Api]) -> String {
    let model = tests::fold(&deployment.log().await);
    let line = |api: &Api| {
        let of_tenant = |key: &str| key.starts_with(&format!("{}/", api.tenant));
        let mut counts = [0; 3];
        for event in model.accepted.iter().filter(|event| of_tenant(&event.key)) {
            let kind = if event.personal.is_none() { 2 } else { usize::from(event.version > 1) };
            counts[kind] += 1;
        }
        let [created, updated, deleted] = counts;
        let counts = format!("{created} {updated} {deleted}");
        format!("{} accepted {counts} success {counts}\n", api.tenant)
    };
    let mut lines: Vec<_> = tenants.iter().map(line).collect();
    lines.sort();
    lines.concat()
}

/// Waits until every accepted change has its SUCCESS.
async fn all_succeeded(deployment: &Deployment) {
    let changes = tests::fold(&deployment.log().await).accepted.len();
    until("every change has its SUCCESS", async || {
        let events = deployment.topic("users.analytics").await;
        let is_success = |name: &str| TYPES.iter().any(|(_, success)| *success == name);
        (events.iter().filter(|event| is_success(event.header("ce_type"))).count() == changes).then_some(())
    })
    .await;
}

pub async fn consumers_count_what_the_log_says(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let dir = scratch("consumers");
    let tenants = [deployment.tenant(), deployment.tenant()];
    let consumers = [Consumer::python(&deployment, &dir), Consumer::java(&deployment, &dir)];

    write(&deployment, &tenants).await;
    for consumer in &consumers {
        consumer.is_killed(&dir).await;
    }
    write(&deployment, &tenants).await;
    all_succeeded(&deployment).await;

    let expected = expected(&deployment, &tenants).await;
    let records =
        deployment.topic("users.events").await.len() + deployment.topic("users.analytics").await.len();
    for consumer in consumers {
        let name = consumer.name;
        let (totals, read) = consumer.finish();
        assert_eq!(totals, expected, "{name}");
        assert!(read < records, "{name} went on where it was, and did not begin again");
    }
    assert_eq!(kcat(&deployment), without_success(&expected));
}

fn kcat(deployment: &Deployment) -> String {
    output(Command::new(docs().join("kcat.sh")).args([deployment.brokers(), &deployment.prefix]), "")
}

/// kcat counts `users.events` alone.
fn without_success(lines: &str) -> String {
    lines.lines().map(|line| line.split(" success").next().unwrap().to_owned() + "\n").collect()
}
