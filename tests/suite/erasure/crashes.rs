//! The projector dies at every point of a delete. Whatever was answered, the erasure is completed,
//! once.

use serde_json::json;
use tests::{Api, Deployment, RedisServer, Service, Stack, until};

/// The failpoints of a batch that erases a user, in their order.
const POINTS: [&str; 8] = [
    "fold.loaded",
    "fold.marked",
    "fold.committing",
    "erase.blanked",
    "erase.destroyed",
    "erase.committing",
    "fold.committed",
    "fold.cached",
];

pub async fn a_delete_is_complete_wherever_the_projector_dies(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let settings = [("ROLLCALL_VISIBILITY_TIMEOUT", "2s")];
    let mut deployment = Deployment::start_with(stack, &redis.url(), &settings).await;
    let api = deployment.tenant();
    let mut users = Vec::new();
    for point in POINTS {
        users.push((point, api.user(json!({ "point": point })).await));
    }
    for (point, id) in users {
        // Stopped regularly, so that its partitions are free at once.
        deployment.stop(Service::Projector);
        // It gets ready, and dies with the first batch, which has the delete.
        deployment.launch_instance(Service::Projector, 0, &[("FAILPOINTS", &format!("{point}=return"))]);
        let answer = api.delete(&id).await;
        until(&format!("the projector dies at {point}"), async || {
            deployment.has_ended(Service::Projector, 0)
        })
        .await;
        assert!(matches!(answer.status, 202 | 204), "{point}: {}", answer.text());
        deployment.crash(Service::Projector).await;
        until(&format!("erased after a death at {point}"), async || {
            is_erased(&deployment, &api, &id).await.then_some(())
        })
        .await;
        api.delete(&id).await.expect(404);
    }
}

/// Whether nothing is left except one tombstone: no row, key, step or body.
async fn is_erased(deployment: &Deployment, api: &Api, id: &str) -> bool {
    let counts = "SELECT (SELECT count(*) FROM live.users WHERE id = $1::uuid), \
        (SELECT count(*) FROM live.tombstones WHERE id = $1::uuid), \
        (SELECT count(*) FROM rollcall_keys.data_keys WHERE owner_id = $1::uuid), \
        (SELECT count(*) FROM rollcall.erasures WHERE user_id = $1::uuid)";
    let counts: (i64, i64, i64, i64) =
        sqlx::query_as(counts).bind(id).fetch_one(&deployment.database).await.unwrap();
    counts == (0, 1, 0, 0) && api.get(id).await.status == 404
}
