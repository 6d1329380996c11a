//! Moves a key store to another database as docs/privacy.md says. The old key store is reported
//! until it is dropped.

use super::{goes_on, has_key};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use tests::{Api, Cli, Deployment, Output, RedisServer, Service, Stack, new_database};
use uuid::Uuid;

const SETTING: &str = "ROLLCALL_KEYS_DATABASE_URL";
const FORMER: &str = "the old key store in the read model's database";

/// The documented copy.
fn copy(from: &str, to: &str) {
    let mut dump = Command::new("pg_dump")
        .args(["--schema=rollcall_keys", from])
        .stdout(Stdio::piped())
        .spawn()
        .expect("pg_dump runs");
    let restored = Command::new("psql")
        .args(["--quiet", "-v", "ON_ERROR_STOP=1", to])
        .stdin(dump.stdout.take().unwrap())
        .stdout(Stdio::null())
        .status()
        .expect("psql runs");
    assert!(dump.wait().unwrap().success() && restored.success(), "the key store is copied");
}

/// Moves the key store, but leaves the old schema. Returns the URLs of the old and the new
/// database.
async fn move_away(stack: &Stack, deployment: &mut Deployment) -> (String, String) {
    let name = format!("m{}", &Uuid::new_v4().simple().to_string()[..12]);
    let (new, _) = new_database(stack, &name).await;
    let options = deployment.database.connect_options();
    let old = new.replace(&name, options.get_database().unwrap());
    // The tests' backup is in another schema.
    let sql = "DROP TRIGGER keep_destroyed_key ON rollcall_keys.data_keys";
    sqlx::query(sql).execute(&deployment.database).await.unwrap();
    for service in [Service::Command, Service::Projector] {
        deployment.stop(service);
    }
    copy(&old, &new);
    deployment.cli = deployment.cli.clone().set(SETTING, &new);
    deployment.cli.run(&["migrate"]).expect(0);
    // The projector first, because a command service is ready once a projector runs.
    for service in [Service::Projector, Service::Command] {
        deployment.launch_instance(service, 0, &[(SETTING, &new)]);
        deployment.ready(service).await;
    }
    (old, new)
}

fn prove(cli: &Cli, api: &Api, user: &str) -> Output {
    cli.run(&["erasure", "prove", "--tenant", &api.tenant, "--user", user])
}

/// `formerKeys` of `rollcall keys status`, which warns if there are any.
fn former_keys(cli: &Cli) -> Value {
    let said = cli.run(&["keys", "status", "--json"]).expect(0);
    let former = said.json()["formerKeys"].clone();
    assert_eq!(said.stderr.contains("an old key store is in the read model's database"), !former.is_null());
    former
}

pub async fn an_old_key_store_is_found(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let (stays, goes) = (api.user(json!({ "n": 1 })).await, api.user(json!({ "n": 2 })).await);
    assert_eq!(former_keys(&deployment.cli), Value::Null);
    let (old, _) = move_away(stack, &mut deployment).await;
    let cli = deployment.cli.clone();
    goes_on(&api).await;
    api.update(&stays, json!({ "claims": { "n": 3 } })).await.expect(200);
    assert_eq!(former_keys(&cli), 2);
    // Another URL of the same key store.
    assert_eq!(former_keys(&cli.clone().set(SETTING, &old)), Value::Null);
    let said = prove(&cli, &api, &stays).expect(1).stdout;
    assert!(said.contains(&format!("2, at 2 places: {FORMER}, the key store")), "{said}");

    api.delete(&goes).await.expect(204);
    assert!(has_key(&deployment.database, &api.tenant, &goes).await, "in the old one");
    let said = prove(&cli, &api, &goes).expect(1).stdout;
    for words in ["not erased", FORMER, "log events that an existing key can still decrypt: 1"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let audit = cli.run(&["erasure", "audit", "--json"]).expect(1).json_lines().pop().unwrap();
    let found = audit["summary"]["findings"].as_array().unwrap();
    let kinds: Vec<_> = found.iter().map(|found| (&found["kind"], &found["userId"])).collect();
    assert_eq!(kinds, [(&json!("key"), &json!(goes)), (&json!("openedEvents"), &json!(goes))], "{audit}");
    assert_eq!(audit["summary"]["formerKeys"], 2);

    sqlx::query("DROP SCHEMA rollcall_keys CASCADE").execute(&deployment.database).await.unwrap();
    cli.run(&["keys", "rotate-master"]).expect(0);
    assert_eq!(former_keys(&cli), Value::Null);
    prove(&cli, &api, &goes).expect(0);
    cli.run(&["erasure", "audit"]).expect(0);
    api.update(&stays, json!({ "claims": { "n": 4 } })).await.expect(200);
}
