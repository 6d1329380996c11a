//! Keys in the memory of processes: who is answered that a user is deleted may rely on nobody holding the key.

use serde_json::json;
use sqlx::PgPool;
use tests::{Api, Deployment, RedisServer, Service, Stack, until};
use uuid::Uuid;

/// Two command services. No freeze and no busy machine is longer than they wait.
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

    /// A user whose key is in the memory of both.
    async fn user(&self) -> String {
        let id = self.first.user(json!({ "n": 1 })).await;
        self.second.update(&id, json!({ "claims": { "n": 2 } })).await.expect(200);
        id
    }

    fn keys(&self) -> &PgPool {
        &self.deployment.keys
    }
}

/// Processes that may still hold a user's key, of those that renew their entry and of all.
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
        assert_eq!(holders(two.keys(), &id).await.0, 0, "nobody who lives holds it");
        two.second.update(&id, json!({ "claims": {} })).await.expect(404);
    }
}

pub async fn a_frozen_cache_is_waited_out(stack: &'static Stack) {
    let two = Two::start(stack).await;
    let id = two.user().await;
    two.deployment.freeze(Service::Command, 1);
    two.first.delete(&id).await.expect(204);
    assert_eq!(holders(two.keys(), &id).await, (0, 1), "its lease is out, and it has not said a word");
    two.first.user(json!({})).await;
    two.deployment.thaw(Service::Command, 1);
    two.second.update(&id, json!({ "claims": {} })).await.expect(404);
    until("the thawed one has dropped the key", async || {
        (holders(two.keys(), &id).await == (0, 0)).then_some(())
    })
    .await;
    two.user().await;
}
