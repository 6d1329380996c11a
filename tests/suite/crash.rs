//! Services are killed while they work. No acknowledged write is lost or applied twice, and the
//! final state follows from the log.

use serde_json::{Value, json};
use sqlx::Row;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tests::{Answer, Api, Deployment, Model, Record, RedisServer, Service, Stack, fold, until};
use uuid::Uuid;

const WRITES: u64 = 2_000;
const CLIENTS: u64 = 16;
/// A service is killed each time this many writes are answered.
const BETWEEN_KILLS: u64 = 220;

/// A write that was answered with success, or with 202.
struct Acknowledged {
    position: (i32, i64),
    key: String,
    status: u16,
    /// The version in `ETag`. `None` for a delete.
    version: Option<u64>,
    /// The claims that were sent. `None` for a delete.
    claims: Option<Value>,
}

struct Run {
    api: Api,
    answered: AtomicU64,
    users: Mutex<Vec<String>>,
    acknowledged: Mutex<Vec<Acknowledged>>,
}

impl Run {
    /// Writes until all clients together have enough answers. A failed connection is retried.
    async fn client(&self) {
        while self.answered.load(Ordering::Relaxed) < WRITES {
            self.write(Uuid::new_v4().as_u128()).await;
        }
    }

    async fn write(&self, chance: u128) {
        let claims = json!({ "mark": Uuid::new_v4().to_string() });
        let user = || {
            let users = self.users.lock().unwrap();
            (!users.is_empty()).then(|| users[usize::try_from(chance >> 64).unwrap() % users.len()].clone())
        };
        let (call, id, claims) = match (chance % 100, user()) {
            (40..85, Some(id)) => (self.api.update(&id, json!({ "claims": claims })), Some(id), Some(claims)),
            (85.., Some(id)) => (self.api.delete(&id), Some(id), None),
            _ => (self.api.create(json!({ "claims": claims })), None, Some(claims)),
        };
        match call.attempt().await {
            Ok(answer) => self.answer(answer, id, claims),
            // The service is down. Without a pause the clients would slow down its start.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }

    fn answer(&self, answer: Answer, id: Option<String>, claims: Option<Value>) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        let (deleted, created) = (claims.is_none(), id.is_none());
        match answer.status {
            200 | 201 | 202 | 204 => {}
            // The user is deleted, too many writers write at once, or the log or the read model is
            // unreachable.
            404 | 409 | 503 => return,
            other => panic!("{other}: {}", answer.text()),
        }
        let id = id.unwrap_or_else(|| answer.header("location").rsplit_once('/').unwrap().1.to_owned());
        let (key, version) =
            (format!("{}/{id}", self.api.tenant), answer.find("etag").map(|_| answer.version()));
        let acknowledged =
            Acknowledged { position: answer.position(), key, status: answer.status, version, claims };
        self.acknowledged.lock().unwrap().push(acknowledged);
        let mut users = self.users.lock().unwrap();
        if deleted {
            users.retain(|user| *user != id);
        } else if created {
            users.push(id);
        }
    }

    /// Kills the projector and the command service in turn, each time the clients have made
    /// progress.
    async fn chaos(&self, deployment: &mut Deployment) {
        let turns = [Service::Projector, Service::Command, Service::Projector];
        for (n, service) in (1..WRITES / BETWEEN_KILLS).zip(turns.into_iter().cycle()) {
            until("the clients come further", async || {
                (self.answered.load(Ordering::Relaxed) >= n * BETWEEN_KILLS).then_some(())
            })
            .await;
            deployment.crash(service).await;
        }
    }
}

pub async fn no_acknowledged_write_is_lost(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let run = Run {
        api: deployment.tenant(),
        answered: AtomicU64::new(0),
        users: Mutex::default(),
        acknowledged: Mutex::default(),
    };
    let clients = futures_util::future::join_all((0..CLIENTS).map(|_| run.client()));
    futures_util::future::join(clients, run.chaos(&mut deployment)).await;

    let log = deployment.log().await;
    let model = fold(&log);
    let acknowledged = run.acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() as u64 > WRITES / 2, "most writes succeed: {}", acknowledged.len());
    for write in &acknowledged {
        check_is_in_log(write, &log, &model);
    }
    caught_up(&deployment, &log).await;
    check_rows(&deployment, &run.api.tenant, &model).await;
    check_answers(&run.api, &model).await;
}

fn check_is_in_log(write: &Acknowledged, log: &[Record], model: &Model) {
    let at = log.binary_search_by_key(&write.position, |record| (record.partition, record.offset));
    let record =
        at.map(|at| &log[at]).unwrap_or_else(|_| panic!("lost: {} at {:?}", write.key, write.position));
    assert_eq!(record.key, write.key);
    match &write.claims {
        Some(claims) => assert_eq!(&record.json()["personal"]["claims"], claims),
        None => assert_eq!(record.header("ce_type"), "user.deleted.v1"),
    }
    // 202 promises no more than that.
    if write.status != 202 {
        assert!(
            !model.rejected.contains(&write.position),
            "answered {} and not accepted: {}",
            write.status,
            write.key
        );
        assert!(write.version.is_none_or(|version| record.header("ce_sequence") == version.to_string()));
    }
}

/// Waits until the whole log is folded.
async fn caught_up(deployment: &Deployment, log: &[Record]) {
    let mut ends = BTreeMap::new();
    for record in log {
        ends.insert(record.partition, record.offset + 1);
    }
    until("the read model has the whole log", async || {
        let rows = sqlx::query_as::<_, (i32, i64)>(
            "SELECT partition, next_offset FROM live.checkpoints WHERE topic = 'users'",
        );
        let next: BTreeMap<_, _> = rows.fetch_all(&deployment.database).await.ok()?.into_iter().collect();
        ends.iter().all(|(partition, end)| next.get(partition).is_some_and(|next| next >= end)).then_some(())
    })
    .await;
}

async fn check_rows(deployment: &Deployment, tenant: &str, model: &Model) {
    let rows = sqlx::query("SELECT tenant_id || '/' || id AS key, version, claims FROM live.users")
        .fetch_all(&deployment.database)
        .await
        .unwrap();
    let alive: Vec<_> = model.users.iter().filter(|(_, user)| user.personal.is_some()).collect();
    assert_eq!(rows.len(), alive.len(), "no user twice, none missing");
    for row in rows {
        let user = &model.users[&row.get::<String, _>("key")];
        assert_eq!(
            Some(row.get::<Value, _>("claims")),
            user.personal.as_ref().map(|personal| personal["claims"].clone())
        );
        assert_eq!(row.get::<i64, _>("version"), i64::try_from(user.version).unwrap());
    }
    let tombstones =
        sqlx::query_as::<_, (String, i64)>("SELECT tenant_id || '/' || id, version FROM live.tombstones");
    let mut tombstones = tombstones.fetch_all(&deployment.database).await.unwrap();
    tombstones.sort();
    let gone = model.users.iter().filter(|(_, user)| user.personal.is_none());
    let gone: Vec<_> = gone.map(|(key, user)| (key.clone(), i64::try_from(user.version).unwrap())).collect();
    assert_eq!(tombstones, gone);
    let rejections =
        sqlx::query_as::<_, (i32, i64)>("SELECT partition, log_offset FROM live.rejections ORDER BY 1, 2");
    let rejections = rejections.fetch_all(&deployment.database).await.unwrap();
    assert_eq!(rejections, model.rejected.iter().copied().collect::<Vec<_>>());
    assert!(model.users.keys().all(|key| key.starts_with(tenant)));
}

async fn check_answers(api: &Api, model: &Model) {
    let users = api.all(37).await;
    assert_eq!(users, model.page(&api.tenant), "the list follows from the log, in order");
    for (key, user) in &model.users {
        let id = key.rsplit_once('/').unwrap().1;
        match &user.personal {
            Some(personal) => {
                let answer = api.get(id).await.expect(200);
                assert_eq!((answer.version(), &answer.json()["claims"]), (user.version, &personal["claims"]));
            }
            None => drop(api.get(id).await.expect(404)),
        }
    }
}
