//! A deployment with users who have identity providers, and how it is asked.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use tests::{Api, Cli, Deployment, Output, RedisServer, Stack, fold, until};
use uuid::Uuid;

/// The deployment, and its Redis.
pub(super) struct Bench {
    pub(super) deployment: Deployment,
    pub(super) api: Api,
    _redis: RedisServer,
}

/// Creates, updates and deletes by day and provider.
pub(super) type Counts = BTreeMap<(String, Option<String>), [i64; 3]>;

impl Bench {
    pub(super) async fn start(stack: &'static Stack, settings: &[(&str, &str)]) -> Self {
        let redis = RedisServer::start().await;
        let deployment = Deployment::start_with(stack, &redis.url(), settings).await;
        let api = deployment.tenant();
        Self { deployment, api, _redis: redis }
    }

    pub(super) fn cli(&self) -> &Cli {
        &self.deployment.cli
    }

    /// Users of two providers and of none, with updates that race, new providers, and deletions.
    pub(super) async fn populate(&self, users: u32) {
        let providers = [Uuid::new_v4().to_string(), Uuid::new_v4().to_string()];
        let link = |n: u32| match n % 3 {
            0 => json!({}),
            n => {
                json!({ "authenticationProvider": { "subjectId": "s", "providerId": providers[n as usize - 1] } })
            }
        };
        for n in 0..users {
            let id = self.api.create(link(n)).await.expect(201).id();
            let updates =
                (0..n % 4).map(|m| self.api.update(&id, json!({ "claims": { "m": m } })).into_future());
            futures_util::future::join_all(updates).await;
            if n % 5 == 1 {
                let mut user = link(n + 1);
                user["claims"] = json!({});
                self.api.update(&id, user).await.expect(200);
            }
            if n % 5 == 4 {
                self.api.delete(&id).await.expect(204);
            }
        }
    }

    /// Waits until every generation of the projection has what the users have.
    pub(super) async fn until_level(&self, projection: &str) {
        until("the projection is level", async || {
            let lines = run(self.cli(), &["projection", "list", "--json", "--projection", projection], 0)
                .await
                .json_lines();
            (!lines.is_empty() && lines.iter().all(|generation| generation["lag"] == 0)).then_some(())
        })
        .await;
    }

    /// What `statistics` says about the bench's tenant.
    pub(super) async fn counted(&self) -> Counts {
        let answer = run(
            self.cli(),
            &["projection", "query", "statistics", "--tenant", &self.api.tenant, "--json"],
            0,
        )
        .await
        .json();
        assert_eq!(answer["tenantId"], self.api.tenant.as_str(), "{answer}");
        let rows = answer["result"].as_array().unwrap().iter();
        rows.map(|row| {
            let counts = ["creates", "updates", "deletes"].map(|name| row[name].as_i64().unwrap());
            ((row["day"].as_str().unwrap().to_owned(), row["provider"].as_str().map(str::to_owned)), counts)
        })
        .collect()
    }

    /// The same from the log, by the documented rule alone.
    pub(super) async fn expected(&self) -> Counts {
        let records = self.deployment.log().await;
        let model = fold(&records);
        let mut counts = Counts::new();
        for accepted in
            model.accepted.iter().filter(|fact| fact.key.starts_with(&format!("{}/", self.api.tenant)))
        {
            let record =
                records.iter().find(|record| (record.partition, record.offset) == accepted.at).unwrap();
            let now = model.users[&accepted.key].personal.as_ref();
            let provider =
                now.and_then(|personal| personal.pointer("/authenticationProvider/providerId")?.as_str());
            let day = record.header("ce_time")[..10].to_owned();
            let index = match record.header("ce_type") {
                "user.created.v1" => 0,
                "user.updated.v1" => 1,
                _ => 2,
            };
            counts.entry((day, provider.map(str::to_owned))).or_default()[index] += 1;
        }
        counts
    }

    /// Waits until `statistics` counts what the log says.
    pub(super) async fn statistics_are_right(&self) {
        self.until_level("statistics").await;
        let expected = self.expected().await;
        assert!(!expected.is_empty(), "there are users");
        assert_eq!(self.counted().await, expected);
    }

    pub(super) async fn status(&self, cli: &Cli, projection: &str) -> Value {
        run(cli, &["projection", "status", "--json", "--projection", projection], 0).await.json()
    }
}

/// Runs a verb, which must end with this exit code.
pub(super) async fn run(cli: &Cli, args: &[&str], code: i32) -> Output {
    let (cli, args) = (cli.clone(), args.iter().map(ToString::to_string).collect::<Vec<_>>());
    let run = move || cli.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap().expect(code)
}

/// What a verb on `statistics` reports at its end.
pub(super) async fn summary(cli: &Cli, args: &[&str], code: i32) -> Value {
    let all = [&["projection"], args, &["--projection", "statistics", "--json"]].concat();
    let lines = run(cli, &all, code).await.json_lines();
    lines.last().expect("a summary")["summary"].clone()
}

/// The generations of `statistics`, each with its state.
pub(super) async fn states(cli: &Cli) -> Vec<(i64, String)> {
    let lines =
        run(cli, &["projection", "list", "--projection", "statistics", "--json"], 0).await.json_lines();
    lines.iter().map(|one| (one["id"].as_i64().unwrap(), one["state"].as_str().unwrap().to_owned())).collect()
}
