//! Keys in the memory of processes: when a delete is answered with success, no process holds the
//! key.

use serde_json::json;
use sqlx::PgPool;
use tests::{Api, Deployment, RedisServer, Service, Stack, until};
use uuid::Uuid;

/// Two command services that wait longer than any freeze or busy machine takes.
struct Two {
    deployment: Deployment,
    first: Api,
    second: Api,
    _redis: RedisServer,
}

impl Two {
    async fn start(stack: &'static Stack) -> Self {
        let redis = RedisServer::start().await;
        let patient = [("ROLLCALL_VISIBILITY_TIMEOUT", "30s")];
        let mut deployment = Deployment::start_with(stack, &redis.url(), &patient).await;
        deployment.launch_instance(Service::Command, 1, &[]);
        deployment.ready_instance(Service::Command, 1).await;
        let first = deployment.tenant();
        let second = first.at(&deployment.url(Service::Query), &deployment.instance_url(Service::Command, 1));
        Self { deployment, first, second, _redis: redis }
    }

    /// A user whose key both have in memory.
    async fn user(&self) -> String {
        let id = self.first.user(json!({ "n": 1 })).await;
        self.second.update(&id, json!({ "claims": { "n": 2 } })).await.expect(200);
        id
    }

    fn keys(&self) -> &PgPool {
        &self.deployment.keys
    }
}

/// Processes that may still hold a user's key: those that renew their entry, and all.
async fn holders(keys: &PgPool, user: &str) -> (i64, i64) {
    sqlx::query_as(
        "SELECT count(*) FILTER (WHERE c.renewed_at > clock_timestamp() - interval '3 s'), count(*) \
         FROM rollcall_keys.dropping d JOIN rollcall_keys.caches c ON c.id = d.cache_id WHERE d.owner_id = $1",
    )
    .bind(user.parse::<Uuid>().unwrap())
    .fetch_one(keys)
    .await
    .unwrap()
}

pub async fn a_delete_reaches_every_cache(stack: &'static Stack) {
    let two = Two::start(stack).await;
    for _ in 0..20 {
        let id = two.user().await;
        two.first.delete(&id).await.expect(204);
        assert_eq!(holders(two.keys(), &id).await.0, 0, "no running process holds it");
        two.second.update(&id, json!({ "claims": {} })).await.expect(404);
    }
}

pub async fn a_frozen_cache_is_waited_out(stack: &'static Stack) {
    let two = Two::start(stack).await;
    let id = two.user().await;
    two.deployment.freeze(Service::Command, 1);
    two.first.delete(&id).await.expect(204);
    assert_eq!(holders(two.keys(), &id).await, (0, 1), "its lease has expired, and it has not answered");
    two.first.user(json!({})).await;
    two.deployment.thaw(Service::Command, 1);
    two.second.update(&id, json!({ "claims": {} })).await.expect(404);
    until("the thawed one has dropped the key", async || {
        (holders(two.keys(), &id).await == (0, 0)).then_some(())
    })
    .await;
    two.user().await;
}

/// A process removes its entry while a key that it may hold is destroyed. The delete has seen the
/// entry, and must not fail.
pub async fn a_stopping_process_blocks_no_delete(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (api, database) = (deployment.tenant(), &deployment.database);
    let id = api.user(json!({ "n": 1 })).await;
    let leaver = Uuid::new_v4();
    let enter = "INSERT INTO rollcall_keys.caches (id, renewed_at) VALUES ($1, now() - interval '10 s')";
    sqlx::query(enter).bind(leaver).execute(database).await.unwrap();

    let mut leaving = database.begin().await.unwrap();
    let leave = "DELETE FROM rollcall_keys.caches WHERE id = $1";
    sqlx::query(leave).bind(leaver).execute(&mut *leaving).await.unwrap();
    let left = async {
        until("the delete waits for the entry", async || {
            let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity \
                WHERE datname = current_database() AND wait_event_type = 'Lock')";
            let waits: bool = sqlx::query_scalar(waits).fetch_one(database).await.unwrap();
            waits.then_some(())
        })
        .await;
        leaving.commit().await.unwrap();
    };
    let (deleted, ()) = tokio::join!(async { api.delete(&id).await }, left);
    deleted.expect(204);
}
