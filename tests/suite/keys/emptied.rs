//! An empty key store, while users are sealed under keys of another one: no new keys are made.

use super::{live, refuses_to_start};
use serde_json::json;
use sqlx::PgPool;
use tests::{Deployment, RedisServer, Service, Stack, new_database, until};
use uuid::Uuid;

const SETTING: &str = "ROLLCALL_KEYS_DATABASE_URL";

async fn empty_database(stack: &Stack) -> (String, PgPool) {
    new_database(stack, &format!("e{}", &Uuid::new_v4().simple().to_string()[..12])).await
}

async fn has_key_store(database: &PgPool) -> bool {
    let there = sqlx::query_scalar("SELECT to_regnamespace('rollcall_keys') IS NOT NULL");
    there.fetch_one(database).await.unwrap()
}

pub async fn an_empty_key_store_replaces_no_other(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let id = live(&api).await;
    let (url, empty) = empty_database(stack).await;
    let words = [SETTING, "the key store there is empty", "restore it"];
    let said = deployment.cli.clone().set(SETTING, &url).run(&["migrate"]).expect(1).stderr;
    assert!(words.iter().all(|words| said.contains(words)), "{said}");
    refuses_to_start(&mut deployment, Service::Projector, &[(SETTING, &url)], &words).await;
    is_never_ready(&mut deployment, &url).await;
    assert!(!has_key_store(&empty).await, "nothing was created");

    // As if the setting was forgotten: this database has no key store.
    let sql = "ALTER SCHEMA rollcall_keys RENAME TO elsewhere";
    sqlx::query(sql).execute(&deployment.database).await.unwrap();
    let said = deployment.cli.run(&["migrate"]).expect(1).stderr;
    assert!(said.contains(SETTING) && said.contains("(it is not set) is empty"), "{said}");
    assert!(!has_key_store(&deployment.database).await, "nothing was created");
    let sql = "ALTER SCHEMA elsewhere RENAME TO rollcall_keys";
    sqlx::query(sql).execute(&deployment.database).await.unwrap();
    deployment.cli.run(&["migrate"]).expect(0);
    until("writes go on", async || {
        let updated = api.update(&id, json!({ "claims": {} })).await;
        (updated.status == 200).then_some(())
    })
    .await;

    // Without sealed users there is nothing to lose.
    api.delete(&id).await.expect(204);
    deployment.cli.clone().set(SETTING, &url).run(&["migrate"]).expect(0);
    assert!(has_key_store(&empty).await);
}

pub async fn an_empty_database_beside_a_full_log_is_refused(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    live(&api).await;
    let (url, empty) = empty_database(stack).await;
    let said = deployment.cli.clone().set("DATABASE_URL", &url).run(&["migrate"]).expect(1).stderr;
    assert!(said.contains("events in the log are sealed under the keys of another one"), "{said}");
    assert!(!has_key_store(&empty).await, "nothing was created");
}

/// A command service creates no key store. It waits for one.
async fn is_never_ready(deployment: &mut Deployment, url: &str) {
    deployment.launch_instance(Service::Command, 9, &[(SETTING, url)]);
    let health = format!("{}/health/ready", deployment.instance_url(Service::Command, 9));
    until("it reports that there is no key store", async || {
        let answer = reqwest::get(&health).await.ok()?;
        assert!(!answer.status().is_success(), "it is not ready");
        answer.text().await.ok()?.contains("keys").then_some(())
    })
    .await;
    deployment.kill_instance(Service::Command, 9);
}
