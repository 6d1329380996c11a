//! A key that is missing though nobody was deleted: said aloud, and mended by bringing it back.

use serde_json::{Value, json};
use tests::{Api, Deployment, RedisServer, Service, Stack, until};

/// Destroys a user's key without a deletion: a key store that was lost.
async fn lose_key(deployment: &Deployment, api: &Api, id: &str) {
    sqlx::query("SELECT rollcall_keys.destroy(ARRAY[$1], ARRAY[$2::uuid])")
        .bind(&api.tenant)
        .bind(id)
        .execute(&deployment.database)
        .await
        .unwrap();
    until("nobody holds the key in memory", async || {
        let held = "SELECT count(*) FROM rollcall_keys.dropping WHERE owner_id = $1::uuid";
        let held: i64 = sqlx::query_scalar(held).bind(id).fetch_one(&deployment.database).await.unwrap();
        (held == 0).then_some(())
    })
    .await;
}

/// Brings it back, as from a backup.
async fn restore_key(deployment: &Deployment, id: &str) {
    sqlx::query(
        "INSERT INTO rollcall_keys.data_keys SELECT * FROM public.destroyed_keys WHERE owner_id = $1::uuid",
    )
    .bind(id)
    .execute(&deployment.database)
    .await
    .unwrap();
}

fn letters(deployment: &Deployment) -> Vec<Value> {
    deployment.cli.run(&["dead-letters", "list", "--json"]).expect(0).json_lines()
}

async fn counted(deployment: &Deployment) -> String {
    let url = format!("{}/metrics", deployment.url(Service::Projector));
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with("rollcall_projector_missing_keys_total "));
    line.expect("it is counted").to_owned()
}

pub async fn a_missing_key_is_loud(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let (kept, lost) = (api.user(json!({ "n": 1 })).await, api.user(json!({ "n": 2 })).await);
    api.update(&lost, json!({ "claims": { "n": 3 } })).await.expect(200);
    lose_key(&deployment, &api, &lost).await;

    let refused = api.update(&lost, json!({ "claims": { "n": 4 } })).await.expect(409);
    assert!(refused.json()["message"].as_str().unwrap().contains("key is missing"), "{}", refused.text());
    assert_eq!(
        api.get(&lost).await.expect(200).json()["claims"],
        json!({ "n": 3 }),
        "what is folded stays readable"
    );
    api.update(&kept, json!({ "claims": { "n": 5 } })).await.expect(200);

    let report = deployment.cli.run(&["projection", "rebuild", "--json"]).expect(0);
    assert_eq!(report.json_lines().last().unwrap()["summary"]["keyless"], 1, "{report:?}");
    let letters_now = letters(&deployment);
    assert_eq!(letters_now.len(), 2, "{letters_now:?}");
    assert!(letters_now[0]["reason"].as_str().unwrap().contains("its key is missing"), "{letters_now:?}");
    let refused = until("the projector goes on", async || {
        let answer = api.update(&lost, json!({ "claims": {} })).await;
        (answer.status == 409).then_some(answer)
    });
    assert!(refused.await.json()["message"].as_str().unwrap().contains("wait for the operator"));
    api.get(&lost).await.expect(404);

    restore_key(&deployment, &lost).await;
    deployment.cli.run(&["dead-letters", "retry", "--tenant", &api.tenant, "--user", &lost]).expect(0);
    assert_eq!(letters(&deployment), [] as [Value; 0]);
    assert_eq!(api.get(&lost).await.expect(200).json()["claims"], json!({ "n": 3 }));
    api.update(&lost, json!({ "claims": { "n": 6 } })).await.expect(200);
    is_counted_while_it_is_folded(&deployment, &api).await;
}

/// A key that is lost between an append and its fold parks the user too, and is counted.
async fn is_counted_while_it_is_folded(deployment: &Deployment, api: &Api) {
    let id = api.user(json!({ "n": 7 })).await;
    deployment.cli.run(&["projection", "pause", "--reason", "a key is lost"]).expect(0);
    until("the projector is paused", async || {
        let url = format!("{}/health/ready", deployment.url(Service::Projector));
        reqwest::get(url).await.ok()?.text().await.ok()?.contains("a key is lost").then_some(())
    })
    .await;
    let written = api.update(&id, json!({ "claims": { "n": 8 } })).header("Prefer", "respond-async").await;
    written.expect(202);
    lose_key(deployment, api, &id).await;
    deployment.cli.run(&["projection", "resume"]).expect(0);
    until("the user is parked", async || (!letters(deployment).is_empty()).then_some(())).await;
    assert!(counted(deployment).await.ends_with(" 1"));
    assert_eq!(
        api.get(&id).await.expect(200).json()["claims"],
        json!({ "n": 7 }),
        "never a silent empty user"
    );
}
