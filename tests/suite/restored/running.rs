//! The services run during a restore of PostgreSQL, which is unsupported, and without a projector,
//! which is fine.

use super::{CATCHING_UP, SLOWLY, catches_up, health, is_not_shown, is_told_to_wait};
use serde_json::json;
use sqlx::raw_sql;
use tests::{Deployment, RedisServer, Service, Stack, until};

/// The number of events that wait for a projector.
const TAIL: usize = 200;

/// The rows that a backup would contain.
const SAVE: &str = "CREATE SCHEMA saved;
CREATE TABLE saved.users AS SELECT * FROM generation_1.users;
CREATE TABLE saved.data_keys AS SELECT * FROM rollcall_keys.data_keys;
CREATE TABLE saved.checkpoints AS SELECT * FROM rollcall.checkpoints;";
/// The rows after a restore.
const RESTORE: &str = "BEGIN;
DELETE FROM generation_1.tombstones;
INSERT INTO generation_1.users SELECT * FROM saved.users;
INSERT INTO rollcall_keys.data_keys SELECT * FROM saved.data_keys ON CONFLICT DO NOTHING;
UPDATE rollcall.checkpoints c SET next_offset = s.next_offset FROM saved.checkpoints s
    WHERE c.generation = s.generation AND c.topic = s.topic AND c.partition = s.partition;
COMMIT;";

pub async fn a_database_is_restored_under_running_services(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let deleted = api.user(json!({ "kind": "probe" })).await;
    raw_sql(SAVE).execute(&deployment.database).await.unwrap();
    api.delete(&deleted).await.expect(204);

    // So that it can't be repaired before the test sees it.
    deployment.freeze(Service::Projector, 0);
    raw_sql(RESTORE).execute(&deployment.database).await.unwrap();
    for service in [Service::Query, Service::Command] {
        catches_up(&deployment, service, CATCHING_UP).await;
    }
    assert!(is_not_shown(&api, &deleted).await, "every read waits");
    assert!(is_told_to_wait(&api.update(&uuid::Uuid::new_v4().to_string(), json!({ "claims": {} })).await));

    deployment.thaw(Service::Projector, 0);
    until("the query service is ready", async || {
        is_not_shown(&api, &deleted).await;
        let (status, _) = health(&deployment, Service::Query, "readModel").await?;
        (status == 200).then_some(())
    })
    .await;
    api.get(&deleted).await.expect(404);
    deployment.ready(Service::Projector).await;
    let user = ["erasure", "prove", "--tenant", &api.tenant, "--user", &deleted];
    deployment.cli.run(&user).expect(0);
}

pub async fn a_projector_that_restarts_stops_no_read(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let id = api.user(json!({ "kind": "probe" })).await;
    deployment.kill(Service::Projector);
    for n in 0..TAIL {
        api.create(json!({ "claims": { "n": n } })).header("Prefer", "respond-async").await.expect(202);
        api.get(&id).await.expect(200);
    }

    deployment.launch_instance(Service::Projector, 0, &[SLOWLY]);
    let mut said = String::new();
    until("the projector is ready", async || {
        api.get(&id).await.expect(200);
        api.list("").await.expect(200);
        assert_eq!(health(&deployment, Service::Query, "readModel").await.unwrap().1, None);
        let (status, reason) = health(&deployment, Service::Projector, "projector").await?;
        said = reason.unwrap_or(std::mem::take(&mut said));
        (status == 200).then_some(())
    })
    .await;
    assert!(said.contains(CATCHING_UP), "the projector itself says what it does: {said}");
    assert_eq!(api.all(1_000).await.len(), TAIL + 1);
}
