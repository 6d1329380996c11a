//! A service with users, and what may happen to it.

use super::super::{log_cut::cut, log_identity::make_log_anew};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::{collections::BTreeMap, fs};
use tests::{Api, RawRecord, Shell, Stack, Together, append_raw, new_database, read_raw, until};
use uuid::Uuid;

/// The users of `users.jsonl`.
const USERS: u128 = 20;
/// The first of them: `$ID`.
const FIRST: &str = "00000000-0000-0000-0000-000000000001";
const TENANT: &str = "acme";

/// The service.
pub struct Bench {
    stack: &'static Stack,
    service: Together,
    /// The log when it was lost.
    lost: Vec<RawRecord>,
}

impl Bench {
    /// Starts the service with the users of `users.jsonl`, whose ids never vary.
    pub async fn start(stack: &'static Stack) -> Self {
        let mut service = Together::prepare(stack).await;
        for (file, users) in [("users.jsonl", 0..USERS), ("more.jsonl", USERS..USERS + 5)] {
            let line = |n| json!({ "id": Uuid::from_u128(n + 1), "claims": { "n": n } }).to_string() + "\n";
            fs::write(service.deployment.home().join(file), users.map(line).collect::<String>()).unwrap();
        }
        service.start(&[]).await;
        Self { stack, service, lost: Vec::new() }
    }

    /// A shell in which `$URL` and `$TOKEN` are set and the users are imported.
    pub async fn shell(&self) -> Shell {
        let mut shell = self.service.shell();
        for command in [
            "until curl -sf $URL/health/ready >/dev/null; do sleep 0.2; done",
            "TOKEN=$(rollcall token --tenant acme); ID=00000000-0000-0000-0000-000000000001",
        ] {
            shell.run(command).await;
        }
        let imported = shell.run("rollcall log import users.jsonl --tenant acme").await;
        assert!(imported.contains("20 new and visible"), "{imported}");
        shell
    }

    /// Does what a transcript says.
    pub async fn happens(&mut self, what: &str) {
        match what {
            "the service is started" => self.service.start(&[]).await,
            "the service is stopped" => self.service.stop(),
            "PostgreSQL loses everything, and an empty database takes its place" => {
                self.service.lose_database().await;
            }
            "Redis is lost" => self.service.redis.kill(),
            "Redis is started, and is empty" => self.service.redis.restart().await,
            "the topics are deleted and created again" => self.lose_log().await,
            "the topics are restored from their backup, under new ids" => self.restore_log().await,
            "the topics are deleted and created again, and a day passes" => {
                self.lose_log().await;
                self.sql("UPDATE rollcall_keys.data_keys SET asked_at = now() - interval '25 hours'").await;
            }
            "a build that can't read some events is started, and a user is updated" => {
                self.service.start(&[("FAILPOINTS", "record.poison=return")]).await;
                self.update_unreadably().await;
            }
            "records are deleted at the beginning of two partitions" => {
                cut(&self.service.deployment, &BTreeMap::from([(0, 4), (3, 2)])).await;
            }
            "events that nobody has folded are appended and deleted" => self.lose_unfolded().await,
            "an older copy of the log takes its place, without the last two records of a partition" => {
                self.take_older_copy().await;
            }
            "the service is started with that prefix" => {
                self.service.start(&[("ROLLCALL_TOPIC_PREFIX", "older.")]).await;
            }
            "a release with a newer fold is started" => {
                self.service.stop();
                self.sql("UPDATE rollcall.generations SET fold_version = fold_version - 1").await;
                self.service.start(&[]).await;
            }
            "a row of generation 2 is changed by hand" => {
                self.sql(&format!("UPDATE generation_2.users SET claims = '{{}}' WHERE id = '{FIRST}'"))
                    .await;
            }
            "the row of generation 2 is as before" => {
                self.sql(&format!(
                    "UPDATE generation_2.users SET claims = '{{\"n\": 0}}' WHERE id = '{FIRST}'"
                ))
                .await;
            }
            "the claims of a user are changed by hand" => {
                self.sql(&format!("UPDATE generation_1.users SET claims = '{{}}' WHERE id = '{FIRST}'"))
                    .await;
            }
            _ => panic!("nobody knows how to do this: {what}"),
        }
    }

    async fn sql(&self, sql: &str) {
        let database = self.service.deployment.settings()["DATABASE_URL"].clone();
        let mut connection = PgConnection::connect(&database).await.unwrap();
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// An update that the bad build can't read.
    async fn update_unreadably(&self) {
        let token = self.service.cli().run(&["token", "--tenant", TENANT]).expect(0).stdout;
        let api = Api::new(&self.service.url(), &self.service.url(), TENANT, token.trim());
        until("the service is ready", async || (api.get(FIRST).await.status == 200).then_some(())).await;
        let update = api.update(FIRST, json!({ "claims": { "n": "unreadable" } }));
        update.header("X-Request-Id", "x-poison").await.expect(202);
    }

    /// Three of partition 0, and two of partition 3.
    async fn lose_unfolded(&self) {
        let deployment = &self.service.deployment;
        let log = read_raw(deployment.brokers(), &deployment.prefix).await;
        let of = |partition: i32, more: i64| {
            let last = log.iter().filter(|record| record.partition == partition).next_back().unwrap();
            (1..=more).map(move |n| RawRecord { offset: last.offset + n, ..last.clone() })
        };
        let more: Vec<RawRecord> = of(0, 3).chain(of(3, 2)).collect();
        append_raw(deployment.brokers(), &deployment.prefix, &more).await;
        cut(deployment, &more.iter().map(|record| (record.partition, record.offset + 1)).collect()).await;
    }

    /// A restored topic keeps its id. The topics here get new ones, so these are entered for the old
    /// ones.
    async fn take_older_copy(&self) {
        let deployment = &self.service.deployment;
        let mut log = read_raw(deployment.brokers(), &deployment.prefix).await;
        make_log_anew(self.stack, deployment).await;
        let name = format!("{}ids", deployment.prefix.replace('.', "_"));
        let (url, database) = new_database(self.stack, &name).await;
        self.service.cli().set("DATABASE_URL", &url).run(&["migrate"]).expect(0);
        let ids = "SELECT users_topic_id, credentials_topic_id FROM rollcall.logs";
        let (users, credentials): (String, String) = sqlx::query_as(ids).fetch_one(&database).await.unwrap();
        for sql in [
            format!(
                "UPDATE rollcall.logs SET users_topic_id = '{users}', credentials_topic_id = '{credentials}'"
            ),
            format!("UPDATE rollcall_keys.logs SET id = '{users}'"),
            format!("UPDATE rollcall_keys.data_keys SET log_id = '{users}'"),
        ] {
            self.sql(&sql).await;
        }
        let is_in_0 = |record: &RawRecord| record.topic == "users.events" && record.partition == 0;
        let end = log.iter().filter(|record| is_in_0(record)).count();
        log.retain(|record| !is_in_0(record) || usize::try_from(record.offset + 2).unwrap() < end);
        append_raw(deployment.brokers(), &deployment.prefix, &log).await;
    }

    async fn lose_log(&mut self) {
        let deployment = &self.service.deployment;
        self.lost = read_raw(deployment.brokers(), &deployment.prefix).await;
        make_log_anew(self.stack, deployment).await;
    }

    async fn restore_log(&self) {
        let deployment = &self.service.deployment;
        make_log_anew(self.stack, deployment).await;
        append_raw(deployment.brokers(), &deployment.prefix, &self.lost).await;
    }
}
