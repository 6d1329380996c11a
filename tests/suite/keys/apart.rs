//! The key store is in another database, so that no transaction covers both.

use super::{goes_on, has_key, live, pending, refused, shows_pending};
use serde_json::json;
use sqlx::PgPool;
use tests::{Api, Deployment, Proxy, RedisServer, Service, Stack, Way, new_database, until};
use uuid::Uuid;

/// A deployment whose key store is behind a proxy of its own.
struct Apart {
    deployment: Deployment,
    api: Api,
    /// The key store without the proxy.
    keys: PgPool,
    proxy: Proxy,
    redis: RedisServer,
}

impl Apart {
    async fn start(stack: &'static Stack) -> Self {
        let redis = RedisServer::start().await;
        let name = format!("k{}", &Uuid::new_v4().simple().to_string()[..12]);
        let (url, keys) = new_database(stack, &name).await;
        let proxy = Proxy::before(&url).await;
        let url = proxy.url(&url);
        let settings = [("ROLLCALL_KEYS_DATABASE_URL", url.as_str()), ("ROLLCALL_VISIBILITY_TIMEOUT", "3s")];
        let deployment = Deployment::start_with(stack, &redis.url(), &settings).await;
        let api = deployment.tenant();
        Self { deployment, api, keys, proxy, redis }
    }

    async fn has_key(&self, user: &str) -> bool {
        has_key(&self.keys, &self.api.tenant, user).await
    }

    /// Cuts the key store off, and waits until no process uses cached keys any more.
    async fn cut(&self, way: Way) {
        self.proxy.set(way);
        until("no cached key is valid any more", async || {
            let live = "SELECT NOT EXISTS (SELECT FROM rollcall_keys.caches WHERE renewed_at > clock_timestamp() - interval '3 s')";
            sqlx::query_scalar::<_, bool>(live).fetch_one(&self.keys).await.unwrap().then_some(())
        })
        .await;
    }

    /// Waits until the erasure of a user is complete.
    async fn erased(&self, user: &str) {
        until("the key is destroyed and no step is pending", async || {
            (!self.has_key(user).await && pending(&self.deployment).await == 0).then_some(())
        })
        .await;
    }
}

pub async fn a_key_in_another_database_is_destroyed_with_its_user(stack: &'static Stack) {
    let apart = Apart::start(stack).await;
    let here: bool = sqlx::query_scalar("SELECT to_regnamespace('rollcall_keys') IS NULL")
        .fetch_one(&apart.deployment.database)
        .await
        .unwrap();
    assert!(here, "no key store beside the read model");
    let id = live(&apart.api).await;
    assert!(apart.has_key(&id).await);
    apart.api.update(&id, json!({ "claims": { "n": 4 } })).await.expect(200);
    apart.api.delete(&id).await.expect(204);
    assert!(!apart.has_key(&id).await, "204 says that it is gone");
    assert_eq!(pending(&apart.deployment).await, 0);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM rollcall_keys.data_keys")
        .fetch_one(&apart.keys)
        .await
        .unwrap();
    assert_eq!(left, 0);
    apart.deployment.cli.run(&["projection", "rebuild", "--promote"]).expect(0);
    apart.api.get(&id).await.expect(404);
    live(&apart.api).await;
}

pub async fn unreachable_redis_keeps_no_key_alive(stack: &'static Stack) {
    let mut apart = Apart::start(stack).await;
    let goes = live(&apart.api).await;
    apart.redis.kill();
    // Steps that are older than the deletion, and more than are done at once.
    let waiting = "INSERT INTO rollcall.erasures (tenant_id, user_id, step, since) \
        SELECT 't', gen_random_uuid(), 'cache', now() - interval '1 day' FROM generate_series(1, 1500)";
    sqlx::query(waiting).execute(&apart.deployment.database).await.unwrap();
    apart.api.delete(&goes).await.expect(202);
    until("the key is destroyed while bodies wait for Redis", async || {
        (!apart.has_key(&goes).await).then_some(())
    })
    .await;
    assert!(pending(&apart.deployment).await > 1_500);
}

pub async fn deletes_go_on_without_the_key_store(stack: &'static Stack) {
    let apart = Apart::start(stack).await;
    for way in [Way::Refused, Way::Frozen] {
        delete_without_the_key_store(&apart, way).await;
    }
}

async fn delete_without_the_key_store(apart: &Apart, way: Way) {
    let (api, deployment) = (&apart.api, &apart.deployment);
    let (stays, goes) = (live(api).await, live(api).await);
    apart.cut(way).await;
    refused(api.create(json!({})).await);
    refused(api.update(&stays, json!({ "claims": {} })).await);
    api.get(&stays).await.expect(200);

    let position = api.delete(&goes).await.expect(202).position();
    let log = deployment.topic("users.events").await;
    let tombstone = log.iter().find(|record| (record.partition, record.offset) == position);
    assert_eq!(tombstone.expect("the event is in the log").header("ce_type"), "user.deleted.v1");
    until("the user is gone from every read", async || (api.get(&goes).await.status == 404).then_some(()))
        .await;
    assert!(apart.has_key(&goes).await && pending(deployment).await == 1);
    shows_pending(deployment, 1).await;

    apart.proxy.set(Way::Open);
    apart.erased(&goes).await;
    shows_pending(deployment, 0).await;
    goes_on(api).await;
    api.update(&stays, json!({ "claims": {} })).await.expect(200);
    live(api).await;
}

pub async fn a_crash_between_a_delete_and_its_key_is_repaired(stack: &'static Stack) {
    let mut apart = Apart::start(stack).await;
    for (point, has_key) in [("erase.pending", true), ("erase.worked_off", false)] {
        goes_on(&apart.api).await;
        let id = live(&apart.api).await;
        let fault = format!("{point}=return");
        apart.deployment.launch_instance(Service::Projector, 0, &[("FAILPOINTS", &fault)]);
        apart.deployment.ready(Service::Projector).await;
        apart.api.delete(&id).await.expect(202);
        until("the projector dies", async || apart.deployment.has_ended(Service::Projector, 0)).await;
        let log = std::fs::read_to_string(apart.deployment.log_path(Service::Projector, 0)).unwrap();
        assert!(log.contains(&format!("fault point {point}")), "it died there");
        assert_eq!((apart.has_key(&id).await, pending(&apart.deployment).await), (has_key, 1), "{point}");
        apart.api.get(&id).await.expect(404);
        apart.deployment.crash(Service::Projector).await;
        apart.erased(&id).await;
        apart.api.delete(&id).await.expect(404);
    }
    goes_on(&apart.api).await;
    live(&apart.api).await;
}
