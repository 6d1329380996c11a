//! No key is destroyed only because the read model does not know its owner: the log may have been
//! recreated, the key store may be shared, or the key may be older than origins.

use super::{goes_on, refused, refuses_to_start};
use crate::suite::log_identity::{is_halted, make_log_anew, rebuild};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use tests::{Api, Cli, Deployment, RedisServer, Service, Stack, new_database};
use uuid::Uuid;

const SETTING: &str = "ROLLCALL_KEYS_DATABASE_URL";
const USERS: usize = 6;

async fn users(api: &Api) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..USERS {
        ids.push(api.user(json!({ "n": n })).await);
    }
    ids
}

/// Makes every key look as if it was requested yesterday.
async fn age(keys: &PgPool) {
    let age = "UPDATE rollcall_keys.data_keys SET asked_at = now() - interval '25 hours'";
    sqlx::query(age).execute(keys).await.unwrap();
}

async fn count(keys: &PgPool) -> usize {
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM rollcall_keys.data_keys").fetch_one(keys).await.unwrap();
    usize::try_from(count).unwrap()
}

/// Sweeps. The projector's own sweep may run.
async fn sweep(cli: &Cli) -> Value {
    let swept = async || {
        let output = cli.run(&["keys", "sweep", "--json"]);
        assert!(output.code == Some(0) || output.stderr.contains("another sweep is running"), "{output:?}");
        (output.code == Some(0)).then(|| output.json())
    };
    tests::until("no other sweep runs", swept).await
}

/// Nothing is destroyed, and this many keys are undecided for one reason.
#[track_caller]
fn all_undecided(swept: &Value, reason: &str, keys: usize) {
    assert_eq!((&swept["outlived"], &swept["orphans"]), (&json!(0), &json!(0)), "{swept}");
    assert_eq!(swept["undecidedBy"], json!({ reason: keys }), "{swept}");
}

pub async fn a_recreated_log_destroys_no_key(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (api, keys, cli) = (deployment.tenant(), &deployment.keys, &deployment.cli);
    let former = users(&api).await;

    make_log_anew(stack, &deployment).await;
    is_halted(&deployment).await;
    rebuild(&deployment).await;
    goes_on(&api).await;
    let stays = api.user(json!({ "log": "new" })).await;
    let all = count(keys).await;
    recent_keys_stay(cli).await;
    assert_eq!(count(keys).await, all, "every key is still there");
    age(keys).await;
    all_undecided(&sweep(cli).await, "other-log", USERS);
    assert_eq!(count(keys).await, all, "every key is still there");

    let status = cli.run(&["keys", "status", "--undecided", "--json"]).expect(0).json();
    let group = &status["undecided"]["groups"][0];
    assert_eq!((&group["reason"], &group["keys"]), (&json!("other-log"), &json!(USERS)), "{status}");
    let named: Vec<&str> = status["undecidedKeys"].as_array().unwrap().iter().map(user_id).collect();
    assert!(former.iter().all(|id| named.contains(&id.as_str())) && named.len() == USERS, "{status}");
    let audit = cli.run(&["erasure", "audit"]).expect(0).stdout;
    assert!(audit.contains("nothing of deleted users") && audit.contains("undecided 6 keys"), "{audit}");

    // No rebuild drops what may be the last copy of the former users' rows.
    rebuild(&deployment).await;
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM generation_1.users")
        .fetch_one(&deployment.database)
        .await
        .unwrap();
    assert_eq!(usize::try_from(rows).unwrap(), USERS);

    let said = cli.run(&["projection", "drop", "1"]).expect(1).stderr;
    assert!(said.contains("--last-of-its-log"), "{said}");

    cli.run(&["projection", "drop", "1", "--last-of-its-log"]).expect(0);
    let prove = |expected| {
        cli.run(&["erasure", "prove", "--tenant", &api.tenant, "--user", &former[0]]).expect(expected)
    };
    assert!(prove(1).stdout.contains("key kept: this log names no such user"));
    destroyed_by_an_operator_alone(cli, keys, all).await;
    assert!(prove(0).stdout.contains("never there"));
    api.update(&stays, json!({ "claims": { "log": "newer" } })).await.expect(200);
}

/// The destroying command and the listing one both say that recent keys stay.
async fn recent_keys_stay(cli: &Cli) {
    let looked = cli.run(&["keys", "sweep", "--undecided"]).expect(1);
    assert!(looked.stderr.contains("6 of them stay even with --yes"), "{looked:?}");
    let said = cli.run(&["keys", "sweep", "--undecided", "--reason", "other-log", "--yes"]).expect(1);
    assert!(said.stdout.contains("0 keys destroyed"), "{said:?}");
    assert!(said.stderr.contains("6 more keys stay") && said.stderr.contains("--older-than"), "{said:?}");
}

fn user_id(key: &Value) -> &str {
    key["userId"].as_str().unwrap()
}

async fn destroyed_by_an_operator_alone(cli: &Cli, keys: &PgPool, all: usize) {
    for wrong in [&["--yes"][..], &["--reason", "other-log"], &["--undecided", "--reason", "young"]] {
        cli.run(&[&["keys", "sweep"], wrong].concat()).expect(2);
    }
    let asked = cli.run(&["keys", "sweep", "--undecided"]).expect(1);
    assert!(asked.stdout.contains("6 keys undecided") && asked.stdout.contains("other-log"), "{asked:?}");
    assert!(asked.stderr.contains("can never be read again") && asked.stderr.contains("--yes"), "{asked:?}");
    let other = ["keys", "sweep", "--undecided", "--reason", "unknown-origin", "--yes"];
    assert!(cli.run(&other).expect(0).stdout.contains("0 keys destroyed"));
    assert_eq!(count(keys).await, all);
    let said = cli.run(&["keys", "sweep", "--undecided", "--reason", "other-log", "--yes", "--json"]);
    assert_eq!(said.expect(0).json()["keys"], USERS);
    assert_eq!(count(keys).await, all - USERS, "those and no others");
}

pub async fn a_restored_former_log_is_read_again(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let (api, keys) = (deployment.tenant(), deployment.keys.clone());
    let ids = users(&api).await;
    for service in Service::ALL {
        deployment.stop(service);
    }
    // Topics with other names are another log, like recreated ones.
    let elsewhere = deployment.cli.clone().set("ROLLCALL_TOPIC_PREFIX", &format!("n{}", deployment.prefix));
    elsewhere.run(&["migrate"]).expect(0);
    for _ in 0..2 {
        elsewhere.run(&["projection", "rebuild", "--promote"]).expect(0);
        age(&keys).await;
        all_undecided(&sweep(&elsewhere).await, "other-log", USERS);
    }

    deployment.cli.run(&["projection", "rebuild", "--promote"]).expect(0);
    let swept = sweep(&deployment.cli).await;
    assert_eq!((&swept["keys"], &swept["undecided"]), (&json!(USERS), &json!(0)), "{swept}");
    for service in Service::ALL {
        deployment.launch(service);
    }
    for service in Service::ALL {
        deployment.ready(service).await;
    }
    goes_on(&api).await;
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(api.get(id).await.expect(200).json()["claims"]["n"], n);
        api.update(id, json!({ "claims": { "n": n, "again": true } })).await.expect(200);
    }
}

/// Two deployments. The second one is configured with the key store of the first.
struct Shared {
    first: Deployment,
    second: Deployment,
    url: String,
    /// The file of the first one's master key.
    master: String,
    keys: PgPool,
    api: Api,
    _redis: [RedisServer; 2],
}

impl Shared {
    async fn start(stack: &'static Stack) -> Self {
        let redis = [RedisServer::start().await, RedisServer::start().await];
        let (url, keys) =
            new_database(stack, &format!("s{}", &Uuid::new_v4().simple().to_string()[..12])).await;
        let first = Deployment::start_with(stack, &redis[0].url(), &[(SETTING, &url)]).await;
        let mut second = Deployment::prepare(stack, &redis[1].url()).await;
        let master = first.home().join("master.key").display().to_string();
        second.cli = second.cli.clone().set(SETTING, &url).set("ROLLCALL_MASTER_KEY_FILE", &master);
        let api = first.tenant();
        Self { first, second, url, master, keys, api, _redis: redis }
    }
}

async fn deployment_id(database: &PgPool) -> Uuid {
    sqlx::query_scalar("SELECT id FROM rollcall.deployment").fetch_one(database).await.unwrap()
}

pub async fn a_key_store_belongs_to_one_deployment(stack: &'static Stack) {
    let Shared { mut first, mut second, url, master, keys, api, _redis } = Shared::start(stack).await;
    users(&api).await;
    let not_ours = "the key store belongs to deployment";
    let said = second.cli.run(&["migrate"]).expect(1).stderr;
    assert!(said.contains(SETTING) && said.contains(not_ours) && said.contains("keys bind"), "{said}");
    let settings = [(SETTING, url.as_str()), ("ROLLCALL_MASTER_KEY_FILE", &master)];
    refuses_to_start(&mut second, Service::Projector, &settings, &[not_ours]).await;
    for verb in
        [&["keys", "sweep"][..], &["keys", "sweep", "--undecided", "--yes"], &["keys", "rotate-master"]]
    {
        second.cli.run(verb).expect(1);
    }

    // An operator insists. Even then no key of the first deployment is taken for an orphan.
    let said = second.cli.run(&["keys", "bind"]).expect(1);
    assert!(said.stdout.contains(&deployment_id(&first.database).await.to_string()), "{said:?}");
    second.cli.run(&["keys", "bind", "--yes"]).expect(0);
    second.cli.run(&["migrate"]).expect(0);
    age(&keys).await;
    all_undecided(&sweep(&second.cli).await, "other-deployment", USERS);
    refused(api.create(json!({})).await);
    assert_eq!(count(&keys).await, USERS);
    for verb in [&["migrate"][..], &["keys", "sweep"], &["keys", "rotate-master"]] {
        let said = first.cli.run(verb).expect(1).stderr;
        assert!(said.contains(not_ours), "{verb:?}: {said}");
    }
    for service in [Service::Command, Service::Projector] {
        refuses_to_start(&mut first, service, &[], &[not_ours]).await;
    }

    first.cli.run(&["keys", "bind", "--yes"]).expect(0);
    first.cli.run(&["migrate"]).expect(0);
    let swept = sweep(&first.cli).await;
    assert_eq!((&swept["keys"], &swept["undecided"]), (&json!(USERS), &json!(0)), "{swept}");
    goes_on(&api).await;
    a_read_model_made_anew_proves_itself_by_its_log(stack, &first).await;
}

async fn a_read_model_made_anew_proves_itself_by_its_log(stack: &Stack, first: &Deployment) {
    let (url, database) =
        new_database(stack, &format!("r{}", &Uuid::new_v4().simple().to_string()[..12])).await;
    first.cli.clone().set("DATABASE_URL", &url).run(&["migrate"]).expect(0);
    assert_eq!(deployment_id(&database).await, deployment_id(&first.database).await);
}

/// The schema of the time before keys had an origin.
const OLDER: &str = "\
DROP TRIGGER keep_destroyed_key ON rollcall_keys.data_keys; \
ALTER TABLE rollcall_keys.data_keys DROP COLUMN deployment_id, DROP COLUMN log_id; \
DROP TABLE rollcall_keys.deployment, rollcall_keys.logs, rollcall.deployment, rollcall.migrations, rollcall_keys.migrations; \
ALTER TABLE rollcall.discarded DROP COLUMN tenant_id, DROP COLUMN user_id, DROP COLUMN is_owner_known";

pub async fn keys_without_an_origin_are_undecided(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let (api, keys) = (deployment.tenant(), deployment.keys.clone());
    let ids = users(&api).await;
    for service in Service::ALL {
        deployment.stop(service);
    }
    sqlx::raw_sql(AssertSqlSafe(OLDER)).execute(&keys).await.unwrap();
    deployment.cli.run(&["migrate"]).expect(0);
    let nobodys = "INSERT INTO rollcall_keys.data_keys (tenant_id, owner_id, id, wrapped, master_id) \
        SELECT 't', gen_random_uuid(), gen_random_uuid(), wrapped, master_id FROM rollcall_keys.secrets";
    sqlx::query(nobodys).execute(&keys).await.unwrap();
    age(&keys).await;
    for service in Service::ALL {
        deployment.launch(service);
    }
    for service in Service::ALL {
        deployment.ready(service).await;
    }
    goes_on(&api).await;
    all_undecided(&sweep(&deployment.cli).await, "unknown-origin", 1);
    let noted: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM rollcall_keys.data_keys WHERE owner_id = ANY($1) AND log_id IS NOT NULL",
    )
    .bind(ids.iter().map(|id| id.parse::<Uuid>().unwrap()).collect::<Vec<_>>())
    .fetch_one(&keys)
    .await
    .unwrap();
    assert_eq!(usize::try_from(noted).unwrap(), USERS, "those of living users are known by their events");
    for id in &ids {
        api.update(id, json!({ "claims": {} })).await.expect(200);
        api.delete(id).await.expect(204);
    }
    // The key without an owner, and that of the user who proved that writes go on.
    assert_eq!(count(&keys).await, 2);
}
