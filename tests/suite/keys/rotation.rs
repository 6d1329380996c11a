//! Rotating the master key.

use super::{import, live, masters, refused, rotate};
use futures_util::future::join_all;
use serde_json::json;
use sqlx::PgPool;
use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tests::{Api, Deployment, Keyring, RedisServer, Service, Stack, until};

/// The number of existing users: more than are rewrapped at once.
const USERS: u32 = 1_200;
const WRITERS: u64 = 6;
/// The advisory lock of a rotation.
const LOCK: i64 = 0x726f_6c6c_726f_7461;

/// The number of writers. None may see a failure.
struct Load {
    api: Api,
    stop: AtomicBool,
    writes: AtomicU64,
    /// The last claims of each user.
    users: Mutex<BTreeMap<String, u64>>,
}

impl Load {
    async fn writer(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let n = self.writes.fetch_add(1, Ordering::Relaxed);
            let id = self.api.user(json!({ "n": n })).await;
            self.api.update(&id, json!({ "claims": { "n": n + 1 } })).await.expect(200);
            self.users.lock().unwrap().insert(id, n + 1);
        }
    }

    async fn further(&self) {
        let before = self.writes.load(Ordering::Relaxed);
        until("writers come further", async || {
            (self.writes.load(Ordering::Relaxed) > before + 2 * WRITERS).then_some(())
        })
        .await;
    }

    /// Every user is as it was last written.
    async fn check(&self) {
        let users: BTreeMap<String, u64> = self
            .api
            .all(500)
            .await
            .iter()
            .filter_map(|user| {
                Some((
                    user["id"].as_str()?.to_owned(),
                    user["claims"].as_object()?.values().next()?.as_u64()?,
                ))
            })
            .collect();
        assert_eq!(users.len(), USERS as usize + self.users.lock().unwrap().len());
        for (id, n) in &*self.users.lock().unwrap() {
            assert_eq!(users.get(id), Some(n), "{id}");
        }
    }
}

async fn rotated(deployment: &Deployment) -> String {
    let cli = deployment.cli.clone();
    let output =
        tokio::task::spawn_blocking(move || cli.run(&["keys", "rotate-master", "--json"])).await.unwrap();
    let summary = output.expect(0).json_lines().pop().unwrap();
    summary["summary"]["master"].as_str().unwrap().to_owned()
}

/// The ids of the keys in the master key's file.
fn lines(deployment: &Deployment) -> Vec<String> {
    let text = fs::read_to_string(deployment.home().join("master.key")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect()
}

/// Everything is wrapped under this master key.
async fn is_only(deployment: &Deployment, master: &str) {
    assert_eq!((masters(deployment), lines(deployment)), (vec![master.to_owned()], vec![master.to_owned()]));
    let others = "SELECT (SELECT count(*) FROM rollcall_keys.data_keys WHERE master_id <> $1) \
         + (SELECT count(*) FROM rollcall_keys.secrets WHERE master_id <> $1)";
    let others: i64 = sqlx::query_scalar(others).bind(master).fetch_one(&deployment.keys).await.unwrap();
    assert_eq!(others, 0);
}

pub async fn writers_go_on_while_the_master_key_is_rotated(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    import(&deployment, &api, USERS);
    let backup = Keyring::copy(&deployment.keys).await;
    assert_eq!(Keyring::opens(deployment.home(), &backup), USERS as usize);
    let load =
        Load { api, stop: AtomicBool::default(), writes: AtomicU64::default(), users: Mutex::default() };
    let rotations = async {
        load.further().await;
        for _ in 0..2 {
            let master = rotated(&deployment).await;
            assert_eq!(masters(&deployment), [master]);
        }
        load.further().await;
        load.stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(rotations, join_all((0..WRITERS).map(|_| load.writer())));
    is_only(&deployment, &masters(&deployment)[0]).await;
    load.check().await;
    assert_eq!(
        Keyring::opens(deployment.home(), &backup),
        0,
        "an old backup of the keys is good for nothing"
    );
    assert_eq!(
        Keyring::opens(deployment.home(), &Keyring::copy(&deployment.keys).await),
        USERS as usize + load.users.lock().unwrap().len()
    );
    deployment.cli.run(&["projection", "rebuild", "--promote"]).expect(0);
    load.check().await;
}

/// The rotation dies at each of its points. The services go on, and another rotation completes it.
pub async fn an_interrupted_rotation_is_completed(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    import(&deployment, &api, 700);
    for point in ["rotate.made", "rotate.rewrapping", "rotate.rewrapped"] {
        let cli = deployment.cli.clone().set("FAILPOINTS", &format!("{point}=return"));
        let output = cli.run(&["keys", "rotate-master"]);
        assert!(output.code.is_none() && output.stderr.contains(point), "it died there: {output:?}");
        let id = live(&api).await;
        deployment.crash(Service::Command).await;
        api.update(&id, json!({ "claims": { "n": 9 } })).await.expect(200);
        let master = rotate(&deployment);
        is_only(&deployment, &master).await;
        live(&api).await;
    }
    deployment.cli.run(&["projection", "rebuild", "--promote"]).expect(0);
    assert_eq!(api.all(500).await.len(), 706);
}

pub async fn one_rotation_at_a_time(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let before = masters(&deployment);
    let mut other = hold(&deployment.keys).await;
    let said = deployment.cli.run(&["keys", "rotate-master"]).expect(1).stderr;
    assert!(said.contains("another rotation of the master key is running"), "{said}");
    assert_eq!((masters(&deployment), lines(&deployment)), (before.clone(), before));
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(LOCK).execute(&mut *other).await.unwrap();
    let master = rotate(&deployment);
    is_only(&deployment, &master).await;
    let said = deployment.cli.run(&["keys", "status"]).expect(0).stdout;
    assert!(said.contains(&master) && said.contains("yes"), "{said}");
}

async fn hold(keys: &PgPool) -> sqlx::pool::PoolConnection<sqlx::Postgres> {
    let mut connection = keys.acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut *connection).await.unwrap();
    connection
}

/// A service whose file was not rotated with the others wraps nothing under a destroyed master key.
pub async fn a_master_key_from_before_a_rotation_wraps_nothing(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let (now, before) = (deployment.home().join("master.key"), deployment.home().join("before.key"));
    fs::copy(&now, &before).unwrap();
    let file = [("ROLLCALL_MASTER_KEY_FILE", before.to_str().unwrap())];
    deployment.launch_instance(Service::Command, 1, &file);
    deployment.ready_instance(Service::Command, 1).await;
    let api = deployment.tenant();
    let stale = api.at(&deployment.url(Service::Query), &deployment.instance_url(Service::Command, 1));
    stale.user(json!({})).await;
    let master = rotate(&deployment);
    refused(stale.create(json!({})).await);
    is_only(&deployment, &master).await;
    live(&api).await;
}
