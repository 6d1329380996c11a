//! Generations beside the live one: they follow, are compared with it, take its place and give it
//! back. Nobody who reads or writes notices.

use super::{
    rebuild::{TABLES, at_rest, generation, load, populate},
    upgrade::schema,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
};
use tests::{Api, Cli, Deployment, Foreign, Output, RedisServer, Service, Stack, fold, scratch, until};

/// Takes the right to fold a generation, as a process that folds it would. A rebuild of it waits.
pub(super) async fn hold_back(database: &PgPool, generation: i32) -> PgConnection {
    let mut connection = PgConnection::connect_with(&database.connect_options()).await.unwrap();
    sqlx::query("SELECT pg_advisory_lock($1, $2)")
        .bind(0x666f_6c64)
        .bind(generation)
        .execute(&mut connection)
        .await
        .unwrap();
    connection
}

pub(super) async fn run(cli: &Cli, args: &[&str], code: i32) -> Output {
    let (cli, args) = (cli.clone(), args.iter().map(ToString::to_string).collect::<Vec<_>>());
    let run = move || cli.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap().expect(code)
}

/// What a verb reports at its end.
pub(super) async fn summary(cli: &Cli, args: &[&str], code: i32) -> Value {
    let lines = run(cli, args, code).await.json_lines();
    lines.last().expect("a summary")["summary"].clone()
}

pub(super) async fn listed(cli: &Cli, id: i32) -> Option<Value> {
    let lines = run(cli, &["projection", "list", "--json"], 0).await.json_lines();
    lines.into_iter().find(|generation| generation["id"] == id)
}

async fn until_level(deployment: &Deployment, id: i32) {
    until("it follows", async || {
        listed(&deployment.cli, id).await.filter(|generation| generation["lag"] == 0).map(drop)
    })
    .await;
}

async fn execute(database: &PgPool, sql: &str) {
    sqlx::query(AssertSqlSafe(sql)).execute(database).await.unwrap();
}

pub async fn a_rebuilt_generation_has_the_tables_of_the_first(stack: &'static Stack) {
    let deployment = Deployment::start(stack, stack.var("REDIS_URL")).await;
    populate(&deployment, &deployment.tenant(), 2).await;
    summary(&deployment.cli, &["projection", "rebuild", "--json"], 0).await;
    let all = schema(&deployment.database).await;
    let of = |generation: &str| -> BTreeSet<String> {
        let of = all.iter().filter(|line| line.contains(generation));
        of.map(|line| line.replace(generation, "generation")).collect()
    };
    let (first, second) = (of("generation_1"), of("generation_2"));
    assert!(first.iter().any(|line| line.contains("autovacuum_vacuum_insert_scale_factor")), "{first:#?}");
    let differences: Vec<_> = first.symmetric_difference(&second).collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

pub async fn promotions_and_rollbacks_under_load_lose_nothing(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    // A write waits while projectors take another generation over.
    let patient = [("ROLLCALL_VISIBILITY_TIMEOUT", "60s")];
    let deployment = Deployment::start_with(stack, &redis.url(), &patient).await;
    let (api, busy) = (deployment.tenant(), deployment.tenant());
    populate(&deployment, &api, 16).await;
    let (stop, cli) = (AtomicBool::new(false), &deployment.cli);
    let verbs = async {
        let built = summary(cli, &["projection", "rebuild", "--json"], 0).await;
        assert_eq!((&built["built"], &built["promoted"]), (&json!(true), &json!(false)), "{built}");
        assert_eq!(generation(&deployment.database).await, 1, "a rebuild alone changes nothing");
        let refused = run(cli, &["projection", "promote", "2"], 1).await;
        assert!(refused.stderr.contains("was never compared with the live one"), "{refused:?}");
        assert!(refused.stderr.contains("projection verify 2"), "{refused:?}");

        let verified = summary(cli, &["projection", "verify", "--json"], 0).await;
        assert_eq!((&verified["equal"], &verified["generation"]), (&json!(true), &json!(2)), "{verified}");
        for live in [2, 1, 2] {
            let args = if live == 1 {
                ["projection", "rollback", "--json"]
            } else {
                ["projection", "promote", "--json"]
            };
            let args: &[&str] = if live == 2 && listed(cli, 2).await.unwrap()["state"] == "retired" {
                &["projection", "promote", "2", "--json"]
            } else {
                &args
            };
            let promoted = summary(cli, args, 0).await;
            assert_eq!((&promoted["generation"], &promoted["promoted"]), (&json!(live), &json!(true)));
            assert_eq!(generation(&deployment.database).await, live);
        }
        let verified = summary(cli, &["projection", "verify", "1", "--json"], 0).await;
        assert_eq!(verified["equal"], true, "{verified}");
        let again = run(cli, &["projection", "promote", "2"], 0).await;
        assert!(again.stdout.contains("live already"), "{again:?}");
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(verbs, load(&busy, &stop), load(&busy, &stop));

    until_level(&deployment, 1).await;
    let (retired, live) = (
        at_rest(&deployment.database, 1, &api.tenant).await,
        at_rest(&deployment.database, 2, &api.tenant).await,
    );
    for (table, _) in TABLES {
        assert_eq!(retired[table], live[table], "{table}");
    }
    let model = fold(&deployment.log().await);
    for api in [&api, &busy] {
        assert_eq!(api.all(100).await, model.page(&api.tenant));
    }
}

pub async fn a_comparison_names_what_differs(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (api, cli) = (deployment.tenant(), &deployment.cli);
    populate(&deployment, &api, 9).await;
    let [flipped, without, kept] = [
        api.user(json!({ "a": 1 })).await,
        api.user(json!({ "b": 2 })).await,
        api.user(json!({ "c": 3 })).await,
    ];
    run(cli, &["projection", "rebuild"], 0).await;
    until_level(&deployment, 2).await;
    let database = &deployment.database;
    execute(
        database,
        &format!("UPDATE generation_2.users SET claims = '{{\"a\": 2}}' WHERE id = '{flipped}'"),
    )
    .await;
    execute(database, &format!("DELETE FROM generation_2.postings WHERE user_id = '{without}'")).await;
    execute(database, "DELETE FROM generation_2.tombstones").await;
    execute(database, "UPDATE generation_2.credentials SET status = 'suspended'").await;

    let report = summary(cli, &["projection", "verify", "--json"], 1).await;
    assert_eq!(report["equal"], false, "{report}");
    let named = |table: &str, user: &str| {
        let all = report["differences"].as_array().unwrap();
        all.iter().find(|one| one["table"] == table && (user.is_empty() || one["user"] == user)).cloned()
    };
    assert_eq!(named("users", &flipped).expect("named")["fields"], json!(["claims"]), "{report}");
    assert_eq!(named("postings", &without).expect("named")["inOther"], false, "{report}");
    assert_eq!(named("tombstones", "").expect("named")["inOther"], false, "{report}");
    assert_eq!(named("credentials", "").expect("named")["fields"], json!(["status"]), "{report}");
    for table in ["users", "postings"] {
        assert!(named(table, &kept).is_none(), "{report}");
    }
    assert_eq!(report["differingTenants"], json!([api.tenant]));
    let said = run(cli, &["projection", "verify"], 1).await;
    assert!(said.stdout.contains(&flipped) && !said.stdout.contains("\"a\""), "{said:?}");
    let limited = summary(cli, &["projection", "verify", "--limit", "1", "--json"], 1).await;
    assert_eq!(limited["differences"].as_array().unwrap().len(), 1, "{limited}");
    assert_eq!((&limited["more"], &report["more"]), (&json!(true), &json!(false)));
    let limited = run(cli, &["projection", "verify", "--limit", "1"], 1).await;
    assert!(limited.stdout.contains("only the first 1 are named"), "{limited:?}");

    let refused = run(cli, &["projection", "promote"], 1).await;
    assert!(refused.stderr.contains("was compared with the live one and differs"), "{refused:?}");
    assert!(listed(cli, 2).await.unwrap()["differedAt"].is_string());
    run(cli, &["projection", "promote", "--unverified"], 0).await;
    run(cli, &["projection", "rollback"], 0).await;
    assert_eq!(generation(database).await, 1);
    run(cli, &["projection", "drop", "2"], 0).await;
    run(cli, &["projection", "verify"], 1).await;
}

pub async fn a_deletion_reaches_a_rebuild_that_sets_the_user_aside(stack: &'static Stack) {
    let deployment = Deployment::start(stack, stack.var("REDIS_URL")).await;
    let api = deployment.tenant();
    let id = api.user(json!({ "a": 1 })).await;
    api.update(&id, json!({ "claims": {} })).header("X-Request-Id", "x-poison").await.expect(200);
    api.delete(&id).await.expect(204);
    // This build can't fold the update.
    let bad = deployment.cli.clone().set("FAILPOINTS", "record.poison=return");
    let report = summary(&bad, &["projection", "rebuild", "--promote", "--json"], 0).await;
    assert_eq!((&report["verified"]["equal"], &report["promoted"]), (&json!(true), &json!(true)), "{report}");
    api.get(&id).await.expect(404);
}

pub async fn what_a_dropped_generation_left_is_removed_at_a_start(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let id = deployment.tenant().user(json!({})).await;
    // As after a promotion that was interrupted, and after a drop while a projection failed.
    let body = format!("rollcall:{}{{0}}:99:tenant/{id}", deployment.prefix);
    redis.command(&format!("SET {body} 1")).await;
    execute(
        &deployment.database,
        "INSERT INTO rollcall.projection_failures (projection, generation, reason) VALUES ('statistics', 99, 'old')",
    )
    .await;
    assert_eq!(redis.keys(&body).await, [body.as_str()]);
    deployment.crash(Service::Projector).await;
    until("the body is gone", async || redis.keys(&body).await.is_empty().then_some(())).await;
    until("the failure is gone", async || {
        let left = sqlx::query("SELECT FROM rollcall.projection_failures");
        left.fetch_optional(&deployment.database).await.unwrap().is_none().then_some(())
    })
    .await;
}

/// A record of the user can't be folded, in the live generation and in another one. It is
/// discarded, and the user is deleted.
async fn discarded_and_deleted(deployment: &Deployment, api: &Api, other: i32) -> String {
    let id = api.user(json!({ "a": 1 })).await;
    let bad = Foreign::event(&format!("{}/{id}", api.tenant), "user.updated.v1", r#"{"personal":17}"#);
    deployment.append("users.events", &[bad.header("ce_sequence", "2")]).await;
    for generation in ["live".to_owned(), format!("generation_{other}")] {
        until("it is parked", async || {
            let parked = format!("SELECT 1 FROM {generation}.dead_letters WHERE user_id = '{id}'");
            sqlx::query(AssertSqlSafe(parked)).fetch_optional(&deployment.database).await.unwrap()
        })
        .await;
    }
    run(&deployment.cli, &["dead-letters", "discard", "--reason", "bad-data"], 0).await;
    api.delete(&id).await.expect(204);
    until_level(deployment, other).await;
    id
}

pub async fn a_deletion_after_a_discard_reaches_those_that_follow(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (api, cli) = (deployment.tenant(), &deployment.cli);
    api.user(json!({})).await;
    run(cli, &["projection", "rebuild"], 0).await;
    let built = discarded_and_deleted(&deployment, &api, 2).await;
    let verified = summary(cli, &["projection", "verify", "2", "--json"], 0).await;
    assert_eq!(verified["equal"], true, "{verified}");
    run(cli, &["projection", "promote", "2"], 0).await;
    let retired = discarded_and_deleted(&deployment, &api, 1).await;
    run(cli, &["projection", "rollback"], 0).await;
    for id in [built, retired] {
        until("it is gone", async || (api.get(&id).await.status == 404).then_some(())).await;
        let args = ["erasure", "prove", "--tenant", &api.tenant, "--user", &id];
        run(cli, &args, 0).await;
    }
    run(cli, &["projection", "rebuild", "--promote"], 0).await;
}

/// The queue of a user holds the deletion, in the live generation and in another one.
pub async fn a_deletion_in_a_reprocessed_queue_reaches_those_that_follow(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (api, cli) = (deployment.tenant(), &deployment.cli);
    let id = api.user(json!({ "a": 1 })).await;
    run(cli, &["projection", "rebuild"], 0).await;
    let key = format!("{}/{id}", api.tenant);
    let bad = Foreign::event(&key, "user.updated.v1", r#"{"personal":17}"#).header("ce_sequence", "2");
    deployment.append("users.events", &[bad, Foreign::deletion(&key, 2)]).await;
    for generation in [1, 2] {
        until("the deletion waits", async || (parked(&deployment, generation, &id).await == 2).then_some(()))
            .await;
    }
    run(cli, &["dead-letters", "discard", "--reason", "bad-data"], 0).await;
    until("it is deleted", async || (api.get(&id).await.status == 404).then_some(())).await;
    has_the_deletion(&deployment, &api, &id).await;
}

/// A repair finds the deletion that the live generation has lost. A generation that was built
/// meanwhile waits in vain for it.
pub async fn a_deletion_by_a_repair_reaches_those_that_follow(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (api, cli) = (deployment.tenant(), &deployment.cli);
    let id = api.user(json!({ "a": 1 })).await;
    api.update(&id, json!({ "claims": {} })).header("X-Request-Id", "x-poison").await.expect(200);
    api.delete(&id).await.expect(204);
    execute(&deployment.database, "DELETE FROM generation_1.tombstones").await;
    // This build can't fold the update, so the deletion behind it waits.
    run(&cli.clone().set("FAILPOINTS", "record.poison=return"), &["projection", "rebuild"], 0).await;
    assert!(parked(&deployment, 2, &id).await > 0);
    run(cli, &["projection", "repair", "--tenant", &api.tenant, "--user", &id], 0).await;
    has_the_deletion(&deployment, &api, &id).await;
}

/// How many records of a user a generation has set aside.
async fn parked(deployment: &Deployment, generation: i32, id: &str) -> i64 {
    let letters = format!("SELECT count(*) FROM generation_{generation}.dead_letters WHERE user_id = '{id}'");
    sqlx::query_scalar(AssertSqlSafe(letters)).fetch_one(&deployment.database).await.unwrap()
}

/// Generation 2 has parked the user no more, is equal to the live one and takes its place.
async fn has_the_deletion(deployment: &Deployment, api: &Api, id: &str) {
    let cli = &deployment.cli;
    until_level(deployment, 2).await;
    assert_eq!(parked(deployment, 2, id).await, 0);
    let verified = summary(cli, &["projection", "verify", "2", "--json"], 0).await;
    assert_eq!(verified["equal"], true, "{verified}");
    run(cli, &["projection", "promote", "2"], 0).await;
    api.get(id).await.expect(404);
    run(cli, &["erasure", "prove", "--tenant", &api.tenant, "--user", id], 0).await;
}

pub async fn a_killed_rebuild_is_resumed(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (api, cli) = (deployment.tenant(), &deployment.cli);
    populate(&deployment, &api, 12).await;
    let nothing = run(cli, &["projection", "rebuild", "--resume"], 1).await;
    assert!(nothing.stderr.contains("nothing to resume"), "{nothing:?}");
    for point in ["rebuild.copied", "rebuild.indexed", "rebuild.filled"] {
        let killed = cli.clone().set("FAILPOINTS", &format!("{point}=return"));
        let killed =
            tokio::task::spawn_blocking(move || killed.run(&["projection", "rebuild"])).await.unwrap();
        assert!(killed.stderr.contains(&format!("fault point {point}")), "{killed:?}");
        let (live, left) = (generation(&deployment.database).await, killed_generation(cli).await);
        api.user(json!({ "meanwhile": point })).await;
        let resumed = ["projection", "rebuild", "--resume", "--promote", "--json"];
        let lines = run(cli, &resumed, 0).await.json_lines();
        goes_on_where_it_was(point, &lines);
        let report = &lines.last().unwrap()["summary"];
        assert_eq!(
            (&report["generation"], &report["retired"], &report["verified"]["equal"]),
            (&left["id"], &json!(live), &json!(true)),
            "{report}"
        );
        let dropped: Vec<i32> = (1..live).filter(|older| older + 1 == live).collect();
        assert_eq!(report["dropped"], json!(dropped), "{report}");
    }
}

/// The progress of a resumed rebuild counts what was folded before.
fn goes_on_where_it_was(point: &str, lines: &[Value]) {
    let folding = lines.iter().map(|line| &line["progress"]).find(|progress| progress["phase"] == "folding");
    if let Some(first) = folding.filter(|_| point != "rebuild.copied") {
        let [done, total] = ["done", "total"].map(|name| first[name].as_u64().unwrap());
        assert!(done * 2 > total && done <= total, "{point}: {first}");
    }
}

async fn killed_generation(cli: &Cli) -> Value {
    let lines = run(cli, &["projection", "list", "--json"], 0).await.json_lines();
    lines.into_iter().find(|generation| generation["abandoned"] == true).expect("one is left")
}

pub async fn a_deletion_erases_in_all_generations(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (api, cli) = (deployment.tenant(), &deployment.cli);
    let gone = api.user(json!({ "secret": "forgotten" })).await;
    api.user(json!({})).await;
    run(cli, &["projection", "rebuild", "--promote"], 0).await;
    run(cli, &["projection", "rebuild"], 0).await;
    api.delete(&gone).await.expect(204);
    for retired_or_built in [1, 3] {
        until_level(&deployment, retired_or_built).await;
        let schema = format!("generation_{retired_or_built}");
        let left = format!(
            "SELECT (SELECT count(*) FROM {schema}.users WHERE id = '{gone}') + (SELECT count(*) FROM {schema}.postings WHERE user_id = '{gone}'), \
                 (SELECT count(*) FROM {schema}.tombstones WHERE id = '{gone}')"
        );
        let left: (i64, i64) =
            sqlx::query_as(AssertSqlSafe(left)).fetch_one(&deployment.database).await.unwrap();
        assert_eq!(left, (0, 1), "{schema}");
    }
    run(cli, &["erasure", "prove", "--tenant", &api.tenant, "--user", &gone], 0).await;
    run(cli, &["projection", "verify", "3"], 0).await;
}

/// An erasure locks the tables of a generation in an order of its own.
pub async fn a_deletion_goes_on_while_a_rebuild_makes_indexes(stack: &'static Stack) {
    let deployment = Deployment::start(stack, stack.var("REDIS_URL")).await;
    deployment.tenant().user(json!({})).await;
    let held = hold_back(&deployment.database, 2).await;
    let cli = deployment.cli.clone();
    let rebuild = tokio::task::spawn_blocking(move || cli.run(&["projection", "rebuild"]));
    let is_made = "SELECT to_regclass('generation_2.credentials') IS NOT NULL";
    until_true(&deployment.database, "it has tables", is_made).await;
    let mut erasure = deployment.database.begin().await.unwrap();
    let lock = async |erasure: &mut PgConnection, table: &str| {
        let sql = format!("LOCK TABLE generation_2.{table} IN ROW EXCLUSIVE MODE");
        sqlx::query(AssertSqlSafe(sql)).execute(erasure).await.expect("no deadlock");
    };
    lock(&mut erasure, "credentials").await;
    held.close().await.unwrap();
    let is_waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'generation_2.credentials'::regclass AND NOT granted)";
    until_true(&deployment.database, "its index waits", is_waiting).await;
    lock(&mut erasure, "users").await;
    erasure.rollback().await.unwrap();
    rebuild.await.unwrap().expect(0);
}

async fn until_true(database: &PgPool, what: &str, sql: &'static str) {
    until(what, async || sqlx::query_scalar(sql).fetch_one(database).await.unwrap_or(false).then_some(()))
        .await;
}

pub async fn verbs_that_exclude_each_other_say_so(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (cli, log) = (&deployment.cli, scratch("excluded").join("rebuild.log"));
    let waiting = hold_back(&deployment.database, 2).await;
    let mut rebuild = cli.start(&["projection", "rebuild"], &log);
    until("it has begun", async || listed(cli, 2).await).await;
    for verb in [&["rebuild"] as &[&str], &["verify"], &["promote"], &["rollback"]] {
        let refused = run(cli, &[&["projection"], verb].concat(), 1).await;
        let place = format!("/{} since ", rebuild.pid());
        assert!(refused.stderr.contains("`rollcall projection rebuild` is at work on "), "{refused:?}");
        assert!(refused.stderr.contains(&place) && refused.stderr.contains("Ctrl-C"), "{refused:?}");
    }
    drop(waiting);
    until("it ends", async || rebuild.ended()).await;
    assert_eq!(listed(cli, 2).await.expect("built")["state"], "built");
    let none = run(cli, &["projection", "rollback"], 1).await;
    assert!(none.stderr.contains("no retired generation"), "{none:?}");
}

pub async fn a_generation_of_another_release_is_refused_or_noted(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let database = deployment.database.clone();
    execute(&database, "UPDATE rollcall.generations SET fold_version = fold_version - 1").await;
    let note = until("health says so", async || {
        let url = format!("{}/health/ready", deployment.url(Service::Projector));
        let ready: Value = reqwest::get(url).await.ok()?.json().await.ok()?;
        ready["notes"]["generation"].as_str().map(str::to_owned)
    })
    .await;
    assert!(note.contains("projection rebuild --promote"), "{note}");
    let status = run(&deployment.cli, &["projection", "status", "--json"], 0).await.json();
    assert_eq!(status["note"], note.as_str(), "{status}");

    execute(&database, "UPDATE rollcall.generations SET fold_version = 99").await;
    for service in Service::ALL {
        deployment.stop(service);
        deployment.launch(service);
        until("it refuses to start", async || {
            deployment.has_ended(service, 0).filter(|status| !status.success())
        })
        .await;
        let said = std::fs::read_to_string(deployment.log_path(service, 0)).unwrap();
        assert!(said.contains("fold 99") && said.contains("projection rollback"), "{said}");
    }
    let refused = run(&deployment.cli, &["migrate"], 1).await;
    assert!(refused.stderr.contains("fold 99"), "{refused:?}");
    run(&deployment.cli, &["projection", "rebuild", "--promote", "--unverified"], 0).await;
    Service::ALL.into_iter().for_each(|service| deployment.launch(service));
    for service in Service::ALL {
        deployment.ready(service).await;
    }
    deployment.tenant().user(json!({})).await;
}
