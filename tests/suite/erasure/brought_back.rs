//! Restoring a backup of the key store brings no deleted user back, neither in the live read model
//! nor in a rebuild, and the key is destroyed again.

use serde_json::json;
use tests::{Deployment, RedisServer, Stack};

pub async fn a_restored_key_brings_nobody_back(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let mut ids = Vec::new();
    for n in 0..20 {
        let id = api.user(json!({ "n": n })).await;
        api.update(&id, json!({ "claims": { "n": n, "m": 1 } })).await.expect(200);
        ids.push(id);
    }
    // Every tenth.
    let gone: Vec<_> = ids.iter().step_by(10).cloned().collect();
    for id in &gone {
        api.delete(id).await.expect(204);
    }
    let list = api.all(100).await;
    assert_eq!(list.len(), 18);
    deployment.cli.run(&["projection", "rebuild", "--promote"]).expect(0);
    assert_eq!(
        api.all(100).await,
        list,
        "a rebuild ends at the tombstones of those whose events nobody can read"
    );

    let backup = "INSERT INTO rollcall_keys.data_keys SELECT * FROM public.destroyed_keys";
    sqlx::query(backup).execute(&deployment.database).await.unwrap();
    let report = deployment.cli.run(&["projection", "rebuild", "--promote", "--json"]).expect(0);
    assert_eq!(report.json_lines().last().unwrap()["summary"]["keyless"], 0);
    assert_eq!(api.all(100).await, list);
    for id in &gone {
        api.get(id).await.expect(404);
        api.update(id, json!({ "claims": {} })).await.expect(404);
    }
}
