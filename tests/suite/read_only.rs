//! PostgreSQL is read-only for a while, as during a failover. Sessions opened meanwhile do not keep
//! the service from writing afterwards.

use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use tests::{Deployment, RedisServer, Service, Stack, until};

/// Makes new sessions of the deployment read-only or not, and terminates the existing ones.
async fn default_transaction_read_only(stack: &Stack, deployment: &Deployment, change: &str) {
    // In another database, so that this session can always write.
    let admin = PgPool::connect(stack.var("DATABASE_URL")).await.unwrap();
    let database = deployment.prefix.trim_end_matches('.');
    let alter = format!("ALTER ROLE CURRENT_USER IN DATABASE {database} {change}");
    sqlx::query(AssertSqlSafe(alter)).execute(&admin).await.unwrap();
    admin.close().await;
}

async fn terminate_all(stack: &Stack, deployment: &Deployment) {
    let admin = PgPool::connect(stack.var("DATABASE_URL")).await.unwrap();
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    sqlx::query(terminate).bind(deployment.prefix.trim_end_matches('.')).execute(&admin).await.unwrap();
    admin.close().await;
}

pub async fn writes_recover_after_a_failover(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let settings = [("ROLLCALL_VISIBILITY_TIMEOUT", "1s")];
    let deployment = Deployment::start_with(stack, &redis.url(), &settings).await;
    let api = deployment.tenant();
    let id = api.user(json!({ "n": 0 })).await;

    default_transaction_read_only(stack, &deployment, "SET default_transaction_read_only = on").await;
    terminate_all(stack, &deployment).await;
    // A new user's key can't be stored. An update is appended, but can't be folded.
    until("nothing can be written", async || {
        let created = api.create(json!({})).await;
        let updated = api.update(&id, json!({ "claims": { "n": 1 } })).await;
        (created.status == 503 && updated.status == 202).then_some(())
    })
    .await;
    until("reads go on", async || (api.get(&id).await.status == 200).then_some(())).await;
    let said = std::fs::read_to_string(deployment.log_path(Service::Projector, 0)).unwrap();
    assert!(said.contains("PostgreSQL is read-only"), "the log says so");
    let cli = deployment.cli.clone();
    let paused = tokio::task::spawn_blocking(move || cli.run(&["projection", "pause"])).await.unwrap();
    assert!(paused.expect(1).stderr.contains("(DATABASE_URL) is read-only"), "a verb says so");

    default_transaction_read_only(stack, &deployment, "RESET default_transaction_read_only").await;
    let made = until("a user can be created", async || {
        let created = api.create(json!({ "claims": { "n": 2 } })).await;
        (created.status == 201).then(|| created.id())
    })
    .await;
    until("an update is visible at once", async || {
        (api.update(&id, json!({ "claims": { "n": 2 } })).await.status == 200).then_some(())
    })
    .await;
    for id in [&id, &made] {
        assert_eq!(api.get(id).await.expect(200).json()["claims"], json!({ "n": 2 }));
    }
    api.delete(&made).await.expect(204);
}
