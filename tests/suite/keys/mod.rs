//! The keys of users and the master key: in Vault, in another database, rotated, lost, orphaned,
//! cached.

mod apart;
mod caches;
mod emptied;
mod master;
mod moved;
mod orphans;
mod other_log;
mod rotation;
mod vault;

pub use apart::{
    a_crash_between_a_delete_and_its_key_is_repaired, a_key_in_another_database_is_destroyed_with_its_user,
    deletes_go_on_without_the_key_store, unreachable_redis_keeps_no_key_alive,
};
pub use caches::{
    a_delete_reaches_every_cache, a_frozen_cache_is_waited_out, a_stopping_process_blocks_no_delete,
};
pub use emptied::{an_empty_database_beside_a_full_log_is_refused, an_empty_key_store_replaces_no_other};
pub use master::nothing_starts_without_the_right_master_key;
pub use moved::an_old_key_store_is_found;
pub use orphans::keys_that_nobody_needs_are_swept;
pub use other_log::{
    a_key_store_belongs_to_one_deployment, a_recreated_log_destroys_no_key,
    a_restored_former_log_is_read_again, keys_without_an_origin_are_undecided,
};
pub use rotation::{
    a_master_key_from_before_a_rotation_wraps_nothing, an_interrupted_rotation_is_completed,
    one_rotation_at_a_time, writers_go_on_while_the_master_key_is_rotated,
};
pub use vault::{
    a_master_key_in_vault_works_like_one_in_a_file, a_token_is_renewed_and_read_again,
    problems_of_vault_are_reported, without_vault_reads_go_on_and_writes_are_rejected,
};

use serde_json::{Value, json};
use sqlx::PgPool;
use tests::{Answer, Api, Deployment, Service, until};
use uuid::Uuid;

/// Creates, reads, updates, finds and deletes a user. Returns another one, which stays.
async fn live(api: &Api) -> String {
    let mark = Uuid::new_v4().to_string();
    let user = json!({ "claims": { "n": 1 }, "authenticationProvider": { "subjectId": "s" } });
    let id = api.create(user).await.expect(201).id();
    api.update(&id, json!({ "claims": { "mark": mark } })).await.expect(200);
    assert_eq!(api.get(&id).await.expect(200).json()["claims"]["mark"], mark);
    assert_eq!(
        api.search(json!({ "claims": { "mark": mark } })).await.expect(200).ids(),
        std::slice::from_ref(&id)
    );
    let stays = api.user(json!({ "n": 3 })).await;
    api.delete(&id).await.expect(204);
    api.get(&id).await.expect(404);
    stays
}

/// Waits until writes are visible when they are answered. After a kill, Kafka's group may wait for
/// the dead member for a while.
async fn goes_on(api: &Api) {
    until("writes go on", async || (api.create(json!({})).await.status == 201).then_some(())).await;
}

/// `rollcall keys status` as JSON.
fn status(deployment: &Deployment) -> Value {
    deployment.cli.run(&["keys", "status", "--json"]).expect(0).json()
}

/// The ids of the master keys.
fn masters(deployment: &Deployment) -> Vec<String> {
    let id = |master: &Value| master["id"].as_str().unwrap().to_owned();
    status(deployment)["masters"].as_array().unwrap().iter().map(id).collect()
}

/// Rotates the master key and returns the new one's id.
fn rotate(deployment: &Deployment) -> String {
    let lines = deployment.cli.run(&["keys", "rotate-master", "--json"]).expect(0).json_lines();
    let (summary, progress) = lines.split_last().unwrap();
    assert!(
        !progress.is_empty() && progress.iter().all(|line| line["progress"]["total"].is_u64()),
        "{lines:?}"
    );
    let summary = &summary["summary"];
    assert!(summary["rewrapped"].as_u64().unwrap() >= summary["total"].as_u64().unwrap(), "{summary}");
    summary["master"].as_str().unwrap().to_owned()
}

/// Whether a user has a key.
async fn has_key(keys: &PgPool, tenant: &str, user: &str) -> bool {
    let row = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM rollcall_keys.data_keys WHERE tenant_id = $1 AND owner_id = $2)",
    );
    row.bind(tenant).bind(user.parse::<Uuid>().unwrap()).fetch_one(keys).await.unwrap()
}

/// Pending steps of erasures.
async fn pending(deployment: &Deployment) -> i64 {
    let steps = sqlx::query_scalar("SELECT count(*) FROM rollcall.erasures");
    steps.fetch_one(&deployment.database).await.unwrap()
}

/// Waits until the projector reports that number of pending steps.
async fn shows_pending(deployment: &Deployment, steps: u64) {
    let shown = async || {
        let metrics = reqwest::get(format!("{}/metrics", deployment.url(Service::Projector))).await.ok()?;
        let metrics = metrics.text().await.ok()?;
        metrics.lines().find_map(|line| line.strip_prefix("rollcall_erasures_pending ")?.parse().ok())
    };
    until(&format!("{steps} steps are shown as pending"), async || {
        shown().await.filter(|shown: &u64| *shown == steps)
    })
    .await;
}

/// Imports users.
fn import(deployment: &Deployment, api: &Api, users: u32) {
    let lines: String = (0..users).map(|n| format!("{{\"claims\":{{\"imported\":{n}}}}}\n")).collect();
    deployment.cli.run_with(&["log", "import", "-", "--tenant", &api.tenant], &lines).expect(0);
}

/// A 503 with `Retry-After`.
#[track_caller]
fn refused(answer: Answer) {
    assert_eq!(answer.expect(503).header("retry-after"), "1");
}

/// Starts a service that must fail to start and say why.
async fn refuses_to_start(
    deployment: &mut Deployment,
    service: Service,
    settings: &[(&str, &str)],
    words: &[&str],
) {
    let log = deployment.log_path(service, 9);
    let _ = std::fs::remove_file(&log);
    deployment.launch_instance(service, 9, &[settings, &[("RUST_BACKTRACE", "1")]].concat());
    let ended = until("it refuses to start", async || deployment.has_ended(service, 9)).await;
    let said = std::fs::read_to_string(&log).unwrap();
    assert_eq!(ended.code(), Some(1), "{said}");
    for words in words {
        assert!(said.contains(words), "{service:?} does not say {words:?}: {said}");
    }
    assert!(!said.contains("backtrace"), "an error has no backtrace: {said}");
    deployment.kill_instance(service, 9);
}

/// All services that use keys fail to start, and so does `rollcall`.
async fn all_refuse(deployment: &mut Deployment, settings: &[(&str, &str)], words: &[&str]) {
    let cli = settings.iter().fold(deployment.cli.clone(), |cli, (name, value)| cli.set(name, value));
    for verb in [&["migrate"][..], &["keys", "status"], &["keys", "rotate-master"]] {
        let said = cli.run(verb).expect(1).stderr;
        for words in words {
            assert!(said.contains(words), "{verb:?} does not say {words:?}: {said}");
        }
    }
    for service in [Service::Command, Service::Projector] {
        refuses_to_start(deployment, service, settings, words).await;
    }
}
