//! A sweep destroys keys that nobody needs, and no others.

use super::has_key;
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::{Api, Deployment, RedisServer, Service, Stack, until};
use uuid::Uuid;

/// Stores a key of a user who never existed, made for the present log.
async fn insert(keys: &PgPool, tenant: &str, asked: &str) -> String {
    let user = Uuid::new_v4();
    let insert = "INSERT INTO rollcall_keys.data_keys (tenant_id, owner_id, id, wrapped, master_id, asked_at, deployment_id, log_id) \
         SELECT $1, $2, gen_random_uuid(), s.wrapped, s.master_id, now() - $3::interval, d.id, l.id \
         FROM rollcall_keys.secrets s, rollcall_keys.deployment d, rollcall_keys.logs l";
    sqlx::query(insert).bind(tenant).bind(user).bind(asked).execute(keys).await.unwrap();
    user.to_string()
}

/// Makes every key look as if it was requested a while ago, but too recently for the projector's
/// own sweep.
async fn age(keys: &PgPool) {
    let age = "UPDATE rollcall_keys.data_keys SET asked_at = now() - interval '3 hours'";
    sqlx::query(age).execute(keys).await.unwrap();
}

/// Restores a key from the tests' backup.
async fn restore(keys: &PgPool, user: &str) {
    let restore =
        "INSERT INTO rollcall_keys.data_keys SELECT * FROM public.destroyed_keys WHERE owner_id = $1";
    sqlx::query(restore).bind(user.parse::<Uuid>().unwrap()).execute(keys).await.unwrap();
}

fn create(api: &Api, key: &str) -> tests::Call {
    api.create(json!({ "claims": { "of": key } })).header("Idempotency-Key", key)
}

/// Makes the command service die after it stored a user's key and before it appends the event.
async fn die_in_create(deployment: &mut Deployment, api: &Api, key: &str) {
    deployment.launch_instance(Service::Command, 0, &[("FAILPOINTS", "append.before=return")]);
    deployment.ready(Service::Command).await;
    let answer = create(api, key).attempt().await;
    assert!(answer.is_err(), "nobody answers: {answer:?}");
    until("it dies", async || deployment.has_ended(Service::Command, 0)).await;
}

/// Sweeps when the projector's own sweep does not run.
async fn sweep(deployment: &Deployment) -> Value {
    let args = ["keys", "sweep", "--older-than", "2h", "--json"];
    let swept = async || {
        let output = deployment.cli.run(&args);
        assert!(output.code == Some(0) || output.stderr.contains("another sweep is running"), "{output:?}");
        (output.code == Some(0)).then(|| output.json())
    };
    until("no other sweep runs", swept).await
}

async fn count(keys: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM rollcall_keys.data_keys").fetch_one(keys).await.unwrap()
}

pub async fn keys_that_nobody_needs_are_swept(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let (api, keys) = (deployment.tenant(), deployment.keys.clone());
    let (lives, deleted) = (api.user(json!({ "n": 1 })).await, api.user(json!({ "n": 2 })).await);
    api.delete(&deleted).await.expect(204);

    die_in_create(&mut deployment, &api, "retried-before-the-sweep").await;
    die_in_create(&mut deployment, &api, "retried-after-the-sweep").await;
    deployment.crash(Service::Command).await;
    assert_eq!(count(&keys).await, 3, "of the living one, and two orphans");
    let retried = create(&api, "retried-before-the-sweep").await.expect(201).id();
    assert_eq!(count(&keys).await, 3, "the key that was there already is taken");

    let old = insert(&keys, &api.tenant, "0").await;
    age(&keys).await;
    let young = insert(&keys, &api.tenant, "1 hour").await;
    assert_eq!(
        sweep(&deployment).await,
        json!({ "keys": 5, "outlived": 0, "orphans": 2, "undecided": 1, "undecidedBy": { "young": 1 }, "withoutKey": 0 })
    );
    for (user, is_left) in [(&lives, true), (&retried, true), (&young, true), (&old, false)] {
        assert_eq!(has_key(&keys, &api.tenant, user).await, is_left, "{user}");
    }
    create(&api, "retried-after-the-sweep").await.expect(201);
    create(&api, "retried-before-the-sweep").await.expect(200);
    for id in [&lives, &retried] {
        api.update(id, json!({ "claims": { "n": 3 } })).await.expect(200);
    }

    // As if the key store was restored from an old backup. The projector's own sweep may be first.
    restore(&keys, &deleted).await;
    let swept = sweep(&deployment).await;
    assert!(swept["outlived"] == 1 || swept["keys"] == 4, "{swept}");
    assert!(!has_key(&keys, &api.tenant, &deleted).await);
    assert_eq!(
        sweep(&deployment).await,
        json!({ "keys": 4, "outlived": 0, "orphans": 0, "undecided": 1, "undecidedBy": { "young": 1 }, "withoutKey": 0 })
    );
    deployment.cli.run(&["keys", "sweep", "--older-than", "9m"]).expect(2);

    deployment.cli.run(&["projection", "rebuild", "--promote"]).expect(0);
    assert_eq!(api.all(100).await.len(), 3);
}
