//! Waits until a run is at rest, and reads the evidence.

use super::evidence::{Analytic, LastWord, ReadModel, Row};
use crate::{
    Api, Deployment, Model, Record,
    chaos::{history::Position, load::Targets},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// How long to wait for rest, at most.
const BOUND: Duration = Duration::from_secs(120);
/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(500);
/// The number of users that are read at once.
const AT_ONCE: usize = 16;

/// Repeats `look` until its result is at rest, or the time is up.
async fn at_rest<T>(mut look: impl AsyncFnMut() -> (T, bool)) -> T {
    let give_up = Instant::now() + BOUND;
    loop {
        let (found, is_at_rest) = look().await;
        if is_at_rest || Instant::now() > give_up {
            return found;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The log, once it is folded to its end and does not grow.
pub(super) async fn log_at_rest(deployment: &Deployment) -> Vec<Record> {
    at_rest(async || {
        let before = deployment.log().await.len();
        let folded = folded(deployment).await;
        let log = deployment.log().await;
        let ends: BTreeMap<i32, i64> =
            log.iter().map(|record| (record.partition, record.offset + 1)).collect();
        let is_folded = ends.iter().all(|(partition, end)| folded.get(partition) >= Some(end));
        let is_at_rest = is_folded && log.len() == before;
        (log, is_at_rest)
    })
    .await
}

async fn folded(deployment: &Deployment) -> BTreeMap<i32, i64> {
    let rows: Vec<(i32, i64)> =
        sqlx::query_as("SELECT partition, next_offset FROM live.checkpoints WHERE topic = 'users'")
            .fetch_all(&deployment.database)
            .await
            .expect("checkpoints");
    rows.into_iter().collect()
}

/// The analytic events, once each accepted event has its SUCCESS and no more arrive.
pub(super) async fn analytics_at_rest(deployment: &Deployment, model: &Model) -> Vec<Analytic> {
    let wanted: BTreeSet<&str> = model.accepted.iter().filter_map(|fact| fact.request.as_deref()).collect();
    let mut before = 0;
    at_rest(async || {
        let records = deployment.topic("users.analytics").await;
        let events: Vec<Analytic> = records.iter().map(analytic).collect();
        let is_at_rest = wanted.is_subset(&successes(&events)) && events.len() == before;
        before = events.len();
        (events, is_at_rest)
    })
    .await
}

fn analytic(record: &Record) -> Analytic {
    let header = |name| record.header(name).to_owned();
    let at = (record.partition, record.offset);
    Analytic { id: header("ce_id"), at, request: record.key.clone(), name: header("ce_type") }
}

fn successes(events: &[Analytic]) -> BTreeSet<&str> {
    let succeeded = events.iter().filter(|event| event.name.ends_with("_SUCCESS"));
    succeeded.map(|event| event.request.as_str()).collect()
}

/// All reads of the users.
pub(super) async fn read_model(deployment: &Deployment, targets: &Targets, model: &Model) -> ReadModel {
    let pool = &deployment.database;
    let users: Vec<(String, i64, Value)> =
        sqlx::query_as("SELECT tenant_id || '/' || id, version, claims FROM live.users ORDER BY 1")
            .fetch_all(pool)
            .await
            .expect("users");
    let tombstones: Vec<(String, i64)> =
        sqlx::query_as("SELECT tenant_id || '/' || id, version FROM live.tombstones ORDER BY 1")
            .fetch_all(pool)
            .await
            .expect("tombstones");
    let rejections: Vec<Position> = sqlx::query_as("SELECT partition, log_offset FROM live.rejections")
        .fetch_all(pool)
        .await
        .expect("rejections");
    let dead_letters = sqlx::query_scalar("SELECT count(*) FROM live.dead_letters").fetch_one(pool).await;
    let row =
        |key, version: i64, claims| -> Row { (key, u64::try_from(version).expect("a version"), claims) };
    ReadModel {
        users: users.into_iter().map(|(key, version, claims)| row(key, version, Some(claims))).collect(),
        tombstones: tombstones.into_iter().map(|(key, version)| row(key, version, None)).collect(),
        rejections: rejections.into_iter().collect(),
        dead_letters: dead_letters.expect("dead letters"),
        last_words: last_words(targets, model).await,
        lists: lists(targets).await,
    }
}

/// Reads every user from every instance.
async fn last_words(targets: &Targets, model: &Model) -> Vec<LastWord> {
    let tenant = format!("{}/", targets.tenant);
    let ids: Vec<&str> = model.users.keys().filter_map(|key| key.strip_prefix(&tenant)).collect();
    let mut words = Vec::new();
    for instance in &targets.query {
        let api = Api::new(instance, instance, &targets.tenant, &targets.token);
        for some in ids.chunks(AT_ONCE) {
            words.extend(
                futures_util::future::join_all(some.iter().map(|id| last_word(&api, instance, id))).await,
            );
        }
    }
    words
}

async fn last_word(api: &Api, instance: &str, id: &str) -> LastWord {
    let answer = api.get(id).await;
    let is_there = answer.status == 200;
    LastWord {
        instance: instance.to_owned(),
        user: id.to_owned(),
        status: answer.status,
        version: is_there.then(|| answer.version()),
        claims: is_there.then(|| answer.json()["claims"].clone()),
    }
}

async fn lists(targets: &Targets) -> Vec<(String, Vec<Value>)> {
    let mut lists = Vec::new();
    for instance in &targets.query {
        let api = Api::new(instance, instance, &targets.tenant, &targets.token);
        lists.push((instance.clone(), api.all(97).await));
    }
    lists
}

/// How many analytic events the services report as lost.
pub(super) async fn dropped(targets: &Targets) -> u64 {
    let mut dropped = 0;
    for instance in targets.command.iter().chain(&targets.query) {
        let api = Api::new(instance, instance, &targets.tenant, &targets.token);
        let metrics = api.path(reqwest::Method::GET, "/metrics").await;
        let count =
            |line: &str| line.strip_prefix("rollcall_analytics_dropped_total ")?.trim().parse::<u64>().ok();
        dropped += metrics.text().lines().find_map(count).unwrap_or_default();
    }
    dropped
}

/// A stopping broker mistakes a partition without a leader for a deleted one, and skips it when it
/// ends a transaction.
pub(super) fn markers_skipped(deployment: &Deployment) -> bool {
    let group = format!("transaction markers for {}rollcall-analytics", deployment.prefix);
    let log = std::fs::read(deployment.kafka_log()).expect("the broker's log");
    String::from_utf8_lossy(&log)
        .lines()
        .any(|line| line.contains("Couldn't find leader endpoint") && line.contains(&group))
}
