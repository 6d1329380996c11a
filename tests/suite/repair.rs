//! `projection repair` folds one user again: whatever is wrong with the user in the read model or in the
//! cache is named by `--check` and repaired without it.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use tests::{Api, Cli, Deployment, Foreign, Output, RedisServer, Service, Stack, until};

/// A deployment with its own Redis.
struct Bench {
    deployment: Deployment,
    api: Api,
    redis: RedisServer,
}

impl Bench {
    async fn start(stack: &'static Stack) -> Self {
        let redis = RedisServer::start().await;
        let deployment = Deployment::start(stack, &redis.url()).await;
        let api = deployment.tenant();
        Self { deployment, api, redis }
    }

    /// A user with two versions, a link and a credential.
    async fn user(&self) -> String {
        let link = json!({ "subjectId": "s", "providerId": "0c3fad74-a8df-4a2d-8e75-f2d356b413ba" });
        let user = json!({ "claims": { "n": 1 }, "authenticationProvider": link });
        let id = self.api.create(user).await.expect(201).id();
        self.api.update(&id, json!({ "claims": { "n": 2, "tag": "x" } })).await.expect(200);
        let line = json!({ "userId": id, "id": "5d3c2b1a-0000-4000-8000-000000000001", "type": "card", "profile": "mobile", "status": "valid" });
        let import = ["log", "import", "-", "--credentials", "--tenant", &self.api.tenant];
        self.deployment.cli.run_with(&import, &line.to_string()).expect(0);
        self.settled(&id).await;
        id
    }

    /// Waits until the cache has the body. Nothing else is published after that.
    async fn settled(&self, id: &str) {
        let pattern = format!("*{id}");
        until("the user is cached", async || {
            self.api.get(id).await.expect(200);
            (!self.redis.keys(&pattern).await.is_empty()).then_some(())
        })
        .await;
    }

    fn repair(&self, id: &str, more: &[&str]) -> Output {
        repair(&self.deployment.cli, &self.api.tenant, id, more)
    }

    /// What differs according to `--check`.
    fn differences(&self, id: &str) -> Vec<String> {
        let output = self.repair(id, &["--check", "--json"]);
        let differences = named(&output);
        output.expect(i32::from(!differences.is_empty()));
        differences
    }

    /// Breaks something, and checks that it is named, repaired and level afterwards.
    async fn breaks(&self, id: &str, sql: &str, fields: &[&str]) {
        assert_eq!(self.differences(id), [""; 0], "before {sql}");
        execute(&self.deployment.database, sql, &self.api.tenant, id).await;
        assert_eq!(self.differences(id), fields, "{sql}");
        let repaired = self.repair(id, &["--json"]).expect(0);
        assert_eq!((named(&repaired), summary(&repaired)["repaired"].clone()), (owned(fields), json!(true)));
        assert_eq!(self.differences(id), [""; 0], "after {sql}");
        let again = self.repair(id, &["--json"]).expect(0);
        assert_eq!(summary(&again)["repaired"], json!(false), "a second repair has nothing to do");
    }

    /// Everything that clients see of a user.
    async fn seen(&self, id: &str) -> Value {
        let shown = self.api.get(id).await;
        let found = self.api.search(json!({ "claims": { "tag": "x" } })).await.expect(200).ids();
        let linked = self.api.search(json!({ "authenticationProvider": { "subjectId": "s" } })).await;
        json!({
            "status": shown.status,
            "tag": shown.find("etag"),
            "user": shown.json(),
            "found": found.iter().any(|found| found == id),
            "linked": linked.expect(200).ids().iter().any(|found| found == id),
            "credentials": self.api.credentials(id, "").await.expect(200).data(),
        })
    }
}

fn repair(cli: &Cli, tenant: &str, id: &str, more: &[&str]) -> Output {
    cli.run(&[&["projection", "repair", "--tenant", tenant, "--user", id], more].concat())
}

fn summary(output: &Output) -> Value {
    output.json_lines().pop().unwrap_or_else(|| panic!("no summary: {output:#?}"))["summary"].clone()
}

fn named(output: &Output) -> Vec<String> {
    let summary = summary(output);
    let fields = summary["differences"].as_array().unwrap_or_else(|| panic!("{output:#?}"));
    fields.iter().map(|field| field.as_str().unwrap().to_owned()).collect()
}

fn owned(fields: &[&str]) -> Vec<String> {
    fields.iter().map(|field| (*field).to_owned()).collect()
}

/// Executes a statement about the user `$1`, `$2` on the live generation, in which the cache had no part.
async fn execute(database: &PgPool, sql: &str, tenant: &str, id: &str) {
    let sql = AssertSqlSafe(sql.replace("{g}", "generation_1"));
    let done = sqlx::query(sql).bind(tenant).bind(id).execute(database).await.unwrap();
    assert!(done.rows_affected() > 0, "it broke nothing");
}

pub async fn every_part_of_a_user_is_compared_and_repaired(stack: &'static Stack) {
    let bench = Bench::start(stack).await;
    let id = bench.user().await;
    let before = bench.seen(&id).await;
    assert!(before["found"] == true && before["linked"] == true, "{before}");
    for (sql, fields) in [
        (
            r#"UPDATE {g}.users SET claims = '{"n": 3}' WHERE tenant_id = $1 AND id = $2::uuid"#,
            &["claims"][..],
        ),
        ("UPDATE {g}.users SET version = 7 WHERE tenant_id = $1 AND id = $2::uuid", &["version"]),
        (
            "UPDATE {g}.users SET subject_id = 'other' WHERE tenant_id = $1 AND id = $2::uuid",
            &["authenticationProvider"],
        ),
        (
            "UPDATE {g}.users SET created_at = created_at + interval '1 day' WHERE tenant_id = $1 AND id = $2::uuid",
            &["createdAt"],
        ),
        ("UPDATE {g}.users SET terms = '{1}' WHERE tenant_id = $1 AND id = $2::uuid", &["terms"]),
        ("DELETE FROM {g}.postings WHERE $1 <> '' AND user_id = $2::uuid", &["postings"]),
        ("DELETE FROM {g}.credentials WHERE tenant_id = $1 AND user_id = $2::uuid", &["credentials"]),
        (
            "UPDATE {g}.credentials SET status = 'revoked' WHERE tenant_id = $1 AND user_id = $2::uuid",
            &["credentials"],
        ),
        ("DELETE FROM {g}.users WHERE tenant_id = $1 AND id = $2::uuid", &["row"]),
        ("INSERT INTO {g}.tombstones SELECT $1, $2::uuid, 3, now(), 0, 0", &["tombstone"]),
        (
            "INSERT INTO {g}.rejections SELECT log_partition, log_offset, 'superseded' FROM {g}.users WHERE tenant_id = $1 AND id = $2::uuid",
            &["outcomes"],
        ),
    ] {
        bench.breaks(&id, sql, fields).await;
        assert_eq!(bench.seen(&id).await, before, "after {sql}");
    }
    let updated = bench.api.update(&id, json!({ "claims": { "n": 4 } })).await.expect(200);
    assert_eq!((updated.version(), bench.api.get(&id).await.expect(200).version()), (3, 3));
}

/// The value that Redis holds for a user.
async fn cached(bench: &Bench, id: &str) -> (String, Option<String>) {
    let keys = bench.redis.keys(&format!("*{id}")).await;
    let [key] = keys.as_slice() else { panic!("one key: {keys:?}") };
    let value = bench.redis.get(key).await;
    (key.clone(), value)
}

pub async fn a_cached_body_is_repaired(stack: &'static Stack) {
    let bench = Bench::start(stack).await;
    let id = bench.user().await;
    let right = bench.seen(&id).await;
    // The cache was written anew from a wrong row, so that both are wrong.
    let body = json!({ "id": id, "claims": { "n": 666 } }).to_string();
    let sql = format!("UPDATE {{g}}.users SET body = '{body}' WHERE tenant_id = $1 AND id = $2::uuid");
    execute(&bench.deployment.database, &sql, &bench.api.tenant, &id).await;
    let (key, _) = cached(&bench, &id).await;
    bench.redis.set(&key, &format!("2\n{body}")).await;
    until("the wrong body is served", async || {
        let shown = bench.api.get(&id).await.expect(200).json();
        (shown["claims"]["n"] == 666).then_some(())
    })
    .await;
    assert_eq!(bench.differences(&id), ["body", "cachedBody"]);
    bench.repair(&id, &[]).expect(0);
    for _ in 0..20 {
        assert_eq!(bench.seen(&id).await, right, "no read shows the wrong body after the repair");
    }
    assert_eq!(bench.differences(&id), [""; 0]);
    let text = right["user"].to_string();
    until("the right body is in Redis", async || {
        let (_, value) = cached(&bench, &id).await;
        let (version, body) = value.as_deref()?.split_once('\n')?;
        let body: Value = serde_json::from_str(body).ok()?;
        (version == "2" && body.to_string() == text).then_some(())
    })
    .await;

    // Without Redis, a repair waits for the lease. Redis returns with the body from before.
    execute(&bench.deployment.database, &sql, &bench.api.tenant, &id).await;
    bench.redis.set(&key, &format!("2\n{body}")).await;
    bench.redis.freeze();
    bench.repair(&id, &[]).expect(0);
    bench.redis.thaw();
    for _ in 0..50 {
        assert_eq!(bench.seen(&id).await, right, "no read shows the wrong body after the repair");
    }
    until("the right body is in Redis", async || {
        let (_, value) = cached(&bench, &id).await;
        (!value?.contains("666")).then_some(())
    })
    .await;
}

pub async fn a_user_is_repaired_while_writes_go_on(stack: &'static Stack) {
    let bench = Bench::start(stack).await;
    let id = bench.user().await;
    let writes = async {
        for n in 3..60_u64 {
            let updated = bench.api.update(&id, json!({ "claims": { "n": n } })).await.expect(200);
            assert_eq!(updated.version(), n, "each write has its outcome");
            let shown = bench.api.get(&id).await.expect(200);
            assert_eq!((shown.version(), &shown.json()["claims"]["n"]), (n, &json!(n)));
        }
    };
    let repairs = async {
        for _ in 0..4 {
            let drop = "DELETE FROM {g}.credentials WHERE tenant_id = $1 AND user_id = $2::uuid";
            execute(&bench.deployment.database, drop, &bench.api.tenant, &id).await;
            let (cli, tenant, user) = (bench.deployment.cli.clone(), bench.api.tenant.clone(), id.clone());
            let run = tokio::task::spawn_blocking(move || repair(&cli, &tenant, &user, &["--json"]));
            assert_eq!(named(&run.await.unwrap().expect(0)), ["credentials"]);
        }
    };
    tokio::join!(writes, repairs);
    assert_eq!(bench.differences(&id), [""; 0]);
    assert_eq!(bench.api.credentials(&id, "").await.expect(200).data().len(), 1);
}

pub async fn a_deleted_user_gets_the_tombstone_and_no_data(stack: &'static Stack) {
    let bench = Bench::start(stack).await;
    let id = bench.user().await;
    bench.api.delete(&id).await.expect(204);
    bench
        .breaks(&id, "DELETE FROM {g}.tombstones WHERE tenant_id = $1 AND id = $2::uuid", &["tombstone"])
        .await;
    let row = "INSERT INTO {g}.users (tenant_id, id, version, created_at, claims, body, creation_digest, log_partition, log_offset) \
        SELECT $1, $2::uuid, 2, now(), '{\"n\": 2}', '{}', '', 0, 0";
    bench.breaks(&id, row, &["row"]).await;
    let credential =
        "INSERT INTO {g}.credentials SELECT $1, $2::uuid, $2::uuid, now(), true, 'valid', '{}', 0, 0";
    bench.breaks(&id, credential, &["credentials"]).await;
    bench.api.get(&id).await.expect(404);
    bench.api.update(&id, json!({ "claims": {} })).await.expect(404);
    let prove = ["erasure", "prove", "--tenant", &bench.api.tenant, "--user", &id];
    bench.deployment.cli.run(&prove).expect(0);
    let text = bench.repair(&id, &["--check"]).expect(0).stdout;
    assert!(text.contains("is deleted"), "{text}");
}

pub async fn an_unknown_user_differs_in_nothing(stack: &'static Stack) {
    let bench = Bench::start(stack).await;
    let id = uuid::Uuid::new_v4().to_string();
    for more in [&["--check"][..], &[]] {
        let text = bench.repair(&id, more).expect(0).stdout;
        assert!(text.contains("was never recorded") && text.contains("nothing differs"), "{text}");
    }
    let row = "INSERT INTO {g}.users (tenant_id, id, version, created_at, claims, body, creation_digest, log_partition, log_offset) \
        SELECT $1, $2::uuid, 1, now(), '{}', '{}', '', 0, 0";
    bench.breaks(&id, row, &["row"]).await;
    bench.api.get(&id).await.expect(404);
}

pub async fn without_the_key_nothing_is_changed(stack: &'static Stack) {
    let mut bench = Bench::start(stack).await;
    let id = bench.user().await;
    let before = bench.seen(&id).await;
    sqlx::query("DELETE FROM rollcall_keys.data_keys WHERE tenant_id = $1 AND owner_id = $2::uuid")
        .bind(&bench.api.tenant)
        .bind(&id)
        .execute(&bench.deployment.keys)
        .await
        .unwrap();
    // The projector may hold the key in memory.
    bench.deployment.crash(Service::Projector).await;
    for more in [&["--check"][..], &[]] {
        let refused = bench.repair(&id, more).expect(1);
        assert!(refused.stderr.contains("The data key of this user is missing"), "{refused:?}");
        assert!(refused.stderr.contains("nothing was changed"), "{refused:?}");
    }
    assert_eq!(bench.seen(&id).await, before);
}

pub async fn the_beginning_is_found_although_the_row_is_wrong(stack: &'static Stack) {
    let bench = Bench::start(stack).await;
    let id = bench.user().await;
    let began = |output: &Output| summary(output)["beganAt"]["fellBack"].clone();
    assert_eq!(began(&bench.repair(&id, &["--check", "--json"]).expect(0)), json!(false));
    // Both times say that the user was created just now, an hour of tolerance included.
    for sql in [
        "UPDATE {g}.users SET created_at = now() + interval '1 hour' WHERE tenant_id = $1 AND id = $2::uuid",
        "UPDATE rollcall_keys.data_keys SET created_at = now() + interval '1 hour' WHERE tenant_id = $1 AND owner_id = $2::uuid",
    ] {
        execute(&bench.deployment.database, sql, &bench.api.tenant, &id).await;
    }
    bench.api.update(&id, json!({ "claims": { "n": 3 } })).await.expect(200);
    let repaired = bench.repair(&id, &["--json"]).expect(0);
    // Postings are in the order of that time.
    assert_eq!((named(&repaired), began(&repaired)), (owned(&["createdAt", "postings"]), json!(true)));
    assert_eq!(bench.differences(&id), [""; 0]);
}

pub async fn a_parked_user_stays_parked_until_the_queue_can_be_folded(stack: &'static Stack) {
    let bench = Bench::start(stack).await;
    let id = bench.user().await;
    let key = format!("{}/{id}", bench.api.tenant);
    bench.deployment.append("users.events", &[Foreign::deletion(&key, 9)]).await;
    until("the user is parked", async || {
        (bench.api.update(&id, json!({ "claims": {} })).await.status == 409).then_some(())
    })
    .await;
    let text = bench.repair(&id, &["--check"]).expect(0).stdout;
    assert!(text.contains("waiting ") && text.contains("1 record that can't be folded"), "{text}");
    let drop = "DELETE FROM {g}.credentials WHERE tenant_id = $1 AND user_id = $2::uuid";
    bench.breaks(&id, drop, &["credentials"]).await;
    bench.api.update(&id, json!({ "claims": {} })).await.expect(409);
    // A letter that the fold would not set aside is resolved, as a retry does.
    let park = "INSERT INTO {g}.dead_letters (topic, partition, log_offset, tenant_id, user_id, headers, reason) \
        SELECT 'users', log_partition, log_offset, $1, $2::uuid, '[]', 'bad-data' FROM {g}.users WHERE tenant_id = $1 AND id = $2::uuid";
    bench.breaks(&id, park, &["deadLetters"]).await;
    // An event that can't be folded and was never set aside: the log alone would give an older state.
    execute(
        &bench.deployment.database,
        "DELETE FROM {g}.dead_letters WHERE tenant_id = $1 AND user_id = $2::uuid",
        &bench.api.tenant,
        &id,
    )
    .await;
    let refused = bench.repair(&id, &[]).expect(1);
    assert!(
        refused.stderr.contains("can't be folded") && refused.stderr.contains("nothing was changed"),
        "{refused:?}"
    );
}

pub async fn a_paused_projector_repairs_nothing_but_a_check_works(stack: &'static Stack) {
    let bench = Bench::start(stack).await;
    let id = bench.user().await;
    bench.deployment.cli.run(&["projection", "pause"]).expect(0);
    let refused = bench.repair(&id, &[]).expect(1);
    assert!(refused.stderr.contains("projection resume"), "{refused:?}");
    bench.repair(&id, &["--check"]).expect(0);
    bench.deployment.cli.run(&["projection", "resume"]).expect(0);
    bench.repair(&id, &[]).expect(0);
}
