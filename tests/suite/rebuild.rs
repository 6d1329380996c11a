//! The read model follows from the log alone: it can be lost completely, and rebuilt beside the
//! live generation.

use super::postings::count_postings;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};
use tests::{Api, Deployment, RedisServer, Service, Stack, fold, until};
use uuid::Uuid;

/// A generation's tables, with the columns that follow from the log alone.
pub(super) const TABLES: [(&str, &str); 5] = [
    ("users", "*"),
    ("tombstones", "*"),
    ("credentials", "*"),
    ("rejections", "*"),
    (
        "dead_letters",
        "topic, partition, log_offset, tenant_id, user_id, key, value, headers, reason, detail, at_home",
    ),
];

/// The rows of a schema's tables as JSON, in a fixed order.
async fn rows(database: &PgPool, schema: &str) -> BTreeMap<&'static str, Vec<Value>> {
    let mut tables = BTreeMap::new();
    for (table, columns) in TABLES {
        let sql = format!(
            "SELECT to_jsonb(r) FROM (SELECT {columns} FROM {schema}.{table}) r ORDER BY to_jsonb(r)::text"
        );
        let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(database).await;
        tables.insert(table, rows.unwrap_or_else(|error| panic!("{schema}.{table}: {error}")));
    }
    tables
}

/// The rows of the live generation. Terms are hashed under a secret that is made with the read model.
async fn without_terms(database: &PgPool) -> BTreeMap<&'static str, Vec<Value>> {
    let mut tables = rows(database, "live").await;
    for row in tables.get_mut("users").unwrap() {
        row.as_object_mut().unwrap().remove("terms").expect("a column");
    }
    tables
}

/// Some of everything: new, updated and deleted users, lost races, credentials.
pub(super) async fn populate(deployment: &Deployment, api: &Api, users: u32) {
    for n in 0..users {
        let user = json!({ "claims": { "n": n, "t": "ä" }, "authenticationProvider": { "subjectId": n.to_string() } });
        let id = api.create(user).await.expect(201).id();
        let updates =
            (0..n % 4).map(|m| api.update(&id, json!({ "claims": { "n": n, "m": m } })).into_future());
        futures_util::future::join_all(updates).await;
        if n % 8 == 0 {
            let credential = json!({ "userId": id, "id": Uuid::new_v4(), "type": "T", "profile": "compact" });
            let args = ["log", "import", "-", "--credentials", "--tenant", &api.tenant];
            deployment.cli.run_with(&args, &credential.to_string()).expect(0);
        }
        if n % 5 == 4 {
            api.delete(&id).await.expect(204);
        }
    }
}

pub(super) async fn generation(database: &PgPool) -> i32 {
    let id = sqlx::query_scalar("SELECT id FROM rollcall.generations WHERE state = 'live'");
    id.fetch_one(database).await.expect("a live generation")
}

/// Rows of a generation that no later write changes: those of a tenant without writers, and
/// rejections.
pub(super) async fn at_rest(
    database: &PgPool,
    generation: i32,
    tenant: &str,
) -> BTreeMap<&'static str, Vec<Value>> {
    let mut tables = rows(database, &format!("generation_{generation}")).await;
    for rows in tables.values_mut() {
        rows.retain(|row| row.get("tenant_id").is_none_or(|of| of == tenant));
    }
    tables
}

pub async fn a_lost_read_model_comes_back_from_the_log(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    populate(&deployment, &api, 24).await;
    let (before, list) = (without_terms(&deployment.database).await, api.all(100).await);

    deployment.stop(Service::Projector);
    let schemas = "SELECT nspname FROM pg_namespace WHERE nspname ~ '^(live|rollcall|generation_[0-9]+)$'";
    for schema in sqlx::query_scalar::<_, String>(schemas).fetch_all(&deployment.database).await.unwrap() {
        let drop = format!("DROP SCHEMA {schema} CASCADE");
        sqlx::query(AssertSqlSafe(drop)).execute(&deployment.database).await.unwrap();
    }
    redis.command("FLUSHALL").await;
    deployment.cli.run(&["migrate"]).expect(0);
    deployment.launch(Service::Projector);
    deployment.ready(Service::Projector).await;

    until("every row is back", async || (without_terms(&deployment.database).await == before).then_some(()))
        .await;
    count_postings(&deployment.database, 1).await;
    until("the API shows it", async || (api.list("").await.status == 200).then_some(())).await;
    assert_eq!(api.all(100).await, list);
    assert_eq!(api.create(json!({})).await.expect(201).version(), 1, "and writes go on");
}

/// Writes and reads until it is stopped. No read may fail or go backwards.
pub(super) async fn load(api: &Api, stop: &AtomicBool) {
    let mark = Uuid::new_v4().to_string();
    let id = api.user(json!({ mark.as_str(): 0 })).await;
    for n in 1.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let claims = json!({ mark.as_str(): n });
        let version = api.update(&id, json!({ "claims": claims })).await.expect(200).version();
        assert_eq!(api.get(&id).await.expect(200).version(), version);
        assert_eq!(api.search(json!({ "claims": claims })).await.expect(200).ids(), [id.as_str()]);
    }
}

pub async fn a_rebuild_under_load_gives_the_same_rows(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (api, busy) = (deployment.tenant(), deployment.tenant());
    populate(&deployment, &api, 24).await;
    keys_are_remembered(&api, 201).await;
    let (stop, old) = (AtomicBool::new(false), generation(&deployment.database).await);
    let rebuild = async {
        let cli = deployment.cli.clone();
        let output =
            tokio::task::spawn_blocking(move || cli.run(&["projection", "rebuild", "--promote", "--json"]))
                .await
                .unwrap();
        stop.store(true, Ordering::SeqCst);
        output.expect(0)
    };
    let (output, (), ()) = tokio::join!(rebuild, load(&busy, &stop), load(&busy, &stop));
    assert!(!output.json_lines().is_empty());
    let new = generation(&deployment.database).await;
    assert_ne!(new, old, "the new generation is live");
    let left = redis.keys(&format!("rollcall:*}}:{old}:*")).await;
    assert!(left.is_empty(), "the cache keeps nothing of the old generation: {left:?}");

    for generation in [old, new] {
        assert!(count_postings(&deployment.database, generation).await > 0);
    }
    let (old, mut new) = (
        at_rest(&deployment.database, old, &api.tenant).await,
        at_rest(&deployment.database, new, &api.tenant).await,
    );
    // The load goes on losing races, but earlier rejections stay.
    new.get_mut("rejections").unwrap().retain(|row| old["rejections"].contains(row));
    for (table, _) in TABLES {
        assert_eq!(old[table], new[table], "{table} of the old generation, and of the new one");
    }
    let model = fold(&deployment.log().await);
    for api in [&api, &busy] {
        assert_eq!(api.all(100).await, model.page(&api.tenant));
    }
    keys_are_remembered(&api, 200).await;
    api.create(json!({})).await.expect(201);
}

/// Answers to `Idempotency-Key` follow from the log alone. `first` is the answer for a living user.
async fn keys_are_remembered(api: &Api, first: u16) {
    let create = |key, n: u32| api.create(json!({ "claims": { "n": n } })).header("Idempotency-Key", key);
    create("kept", 1).await.expect(first);
    create("kept", 2).await.expect(422);
    if first == 201 {
        let id = create("gone", 1).await.expect(201).id();
        api.delete(&id).await.expect(204);
    }
    create("gone", 1).await.expect(409);
}
