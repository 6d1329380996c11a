//! A key is missing although its user was not deleted. This is reported, and restoring the key
//! repairs it.

use serde_json::{Value, json};
use tests::{Api, Call, Deployment, RedisServer, Service, Stack, until};

/// Destroys a user's key without a deletion, as if the key store was lost.
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

/// Restores it, as from a backup.
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

/// A counter of a service. `None` if it is not exported yet.
async fn counted(deployment: &Deployment, service: Service, name: &str) -> Option<u64> {
    let url = format!("{}/metrics", deployment.url(service));
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

const REFUSED: &str = "rollcall_command_missing_keys_total";

/// How many log lines of a service say that keys are missing, with these words.
fn said(deployment: &Deployment, service: Service, words: &[&str]) -> usize {
    let log = std::fs::read_to_string(deployment.log_path(service, 0)).unwrap();
    let of_keys = |line: &&str| line.contains("ERROR") && line.contains("restore the key store");
    let lines: Vec<_> = log.lines().filter(of_keys).collect();
    assert!(lines.iter().all(|line| words.iter().all(|word| line.contains(word))), "{lines:?}");
    lines.len()
}

/// Sweeps when the projector's own sweep does not run. Returns how many living users have no key.
async fn swept(deployment: &Deployment) -> Value {
    let swept = async || {
        let output = deployment.cli.run(&["keys", "sweep", "--json"]);
        (!output.stderr.contains("another sweep is running")).then(|| output.expect(0).json())
    };
    until("no other sweep runs", swept).await["withoutKey"].clone()
}

/// A write that needs the key is rejected, counted and logged.
async fn is_told_by_a_write(deployment: &Deployment, api: &Api, lost: &str, create: impl Fn(u32) -> Call) {
    assert_eq!(counted(deployment, Service::Command, REFUSED).await, Some(0));
    let update = || api.update(lost, json!({ "claims": { "n": 4 } }));
    // The second body is different, but without the key this can't be detected.
    for call in [update(), create(2), create(4)] {
        let refused = call.await.expect(409);
        assert!(refused.json()["message"].as_str().unwrap().contains("key is missing"), "{}", refused.text());
    }
    assert_eq!(counted(deployment, Service::Command, REFUSED).await, Some(3));
    assert_eq!(said(deployment, Service::Command, &[&api.tenant, lost]), 3);
    assert_eq!(swept(deployment).await, 1);
    let text = deployment.cli.run(&["keys", "sweep"]).expect(0).stdout;
    assert!(text.contains("1 living user whose key is missing"), "{text}");
}

pub async fn a_missing_key_is_reported(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let create = |n| api.create(json!({ "claims": { "n": n } })).header("Idempotency-Key", "lost");
    let (kept, lost) = (api.user(json!({ "n": 1 })).await, create(2).await.expect(201).id());
    api.update(&lost, json!({ "claims": { "n": 3 } })).await.expect(200);
    lose_key(&deployment, &api, &lost).await;

    is_told_by_a_write(&deployment, &api, &lost, create).await;
    assert_eq!(
        api.get(&lost).await.expect(200).json()["claims"],
        json!({ "n": 3 }),
        "what is folded stays readable"
    );
    api.update(&kept, json!({ "claims": { "n": 5 } })).await.expect(200);

    deployment.cli.run(&["projection", "rebuild", "--promote"]).expect(1);
    assert_eq!(api.get(&lost).await.expect(200).json()["claims"], json!({ "n": 3 }), "it is not promoted");
    let report =
        deployment.cli.run(&["projection", "rebuild", "--promote", "--accept-set-aside", "--json"]).expect(0);
    assert_eq!(report.json_lines().last().unwrap()["summary"]["keyless"], 1, "{report:?}");
    let letters_now = letters(&deployment);
    assert_eq!(letters_now.len(), 2, "{letters_now:?}");
    assert!(letters_now[0]["detail"].as_str().unwrap().contains("its key is missing"), "{letters_now:?}");
    let refused = until("the projector goes on", async || {
        let answer = api.update(&lost, json!({ "claims": {} })).await;
        (answer.status == 409).then_some(answer)
    });
    assert!(refused.await.json()["message"].as_str().unwrap().contains("wait for an operator"));
    api.get(&lost).await.expect(404);
    assert_eq!(swept(&deployment).await, 1, "a user of whom nothing is folded counts too");

    for more in [&["--check"][..], &[]] {
        let repair = ["projection", "repair", "--tenant", &api.tenant, "--user", &lost];
        let refused = deployment.cli.run(&[&repair, more].concat()).expect(1);
        assert!(refused.stdout.contains("can't be read: the data key is missing"), "{refused:?}");
        assert!(refused.stderr.contains("Restore the key store"), "{refused:?}");
    }

    restore_key(&deployment, &lost).await;
    deployment.cli.run(&["dead-letters", "retry", "--tenant", &api.tenant, "--user", &lost]).expect(0);
    assert_eq!(letters(&deployment), [] as [Value; 0]);
    assert_eq!(api.get(&lost).await.expect(200).json()["claims"], json!({ "n": 3 }));
    api.update(&lost, json!({ "claims": { "n": 6 } })).await.expect(200);
    create(2).await.expect(200);
    assert_eq!(swept(&deployment).await, 0);
    is_counted_while_it_is_folded(&deployment, &api).await;
    is_told_by_the_projectors_sweep(&mut deployment).await;
}

/// A key that is lost between append and fold parks the user too, and is counted.
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
    let counted = counted(deployment, Service::Projector, "rollcall_projector_missing_keys_total").await;
    assert_eq!(counted, Some(1));
    assert_eq!(
        api.get(&id).await.expect(200).json()["claims"],
        json!({ "n": 7 }),
        "never a silent empty user"
    );
}

/// The projector checks some time after its start.
async fn is_told_by_the_projectors_sweep(deployment: &mut Deployment) {
    deployment.crash(Service::Projector).await;
    until("the projector has swept", async || {
        let shown = counted(deployment, Service::Projector, "rollcall_users_without_key").await;
        shown.filter(|shown| *shown == 1)
    })
    .await;
    assert!(said(deployment, Service::Projector, &["without_key"]) > 0);
}
