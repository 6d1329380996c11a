//! Pauses and killed rebuilds: a pause is in effect when it is answered, and a killed rebuild is
//! shown as abandoned.

use super::{
    generations,
    transactions::{answer, status},
};
use serde_json::{Value, json};
use sqlx::{PgPool, Postgres, Transaction};
use tests::{Cli, Deployment, Output, RedisServer, Service, Stack, run_service, scratch, until};

/// Locks the live checkpoints, so that no batch can be committed.
async fn hold(database: &PgPool) -> Transaction<'static, Postgres> {
    let mut held = database.begin().await.unwrap();
    let lock = "SELECT FROM rollcall.checkpoints ORDER BY generation, topic, partition FOR UPDATE";
    sqlx::query(lock).execute(&mut *held).await.unwrap();
    held
}

/// How many statements wait for a lock.
async fn waiting(database: &PgPool) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    sqlx::query_scalar(count).fetch_one(database).await.unwrap()
}

async fn checkpoints(database: &PgPool) -> Vec<Value> {
    let rows = "SELECT to_jsonb(c) FROM (SELECT topic, partition, next_offset FROM live.checkpoints \
        ORDER BY topic, partition) c";
    sqlx::query_scalar(rows).fetch_all(database).await.unwrap()
}

pub async fn a_pause_is_in_effect_when_it_is_answered(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let (api, database) = (deployment.tenant(), &deployment.database);
    let resumed = deployment.cli.run(&["projection", "resume", "--json"]).expect(0).json();
    assert_eq!(resumed["resumed"], Value::Null, "it was not paused, which is no error");

    let held = hold(database).await;
    api.create(json!({})).header("Prefer", "respond-async").await.expect(202);
    until("a batch is being committed", async || (waiting(database).await == 1).then_some(())).await;
    let log = scratch("pause").join("pause.log");
    let mut pause = deployment.cli.start(&["projection", "pause", "--reason", "moved"], &log);
    let said = until("it reports what it waits for, or has ended", async || {
        let ended = pause.ended().is_some();
        (ended || pause.output().contains("waiting for what is being committed")).then_some(ended)
    })
    .await;
    // If it was answered before, this is what it promised.
    let promised = if said { Some(checkpoints(database).await) } else { None };
    held.rollback().await.unwrap();
    assert!(pause.wait().success(), "{}", pause.output());
    let promised = match promised {
        Some(promised) => promised,
        None => checkpoints(database).await,
    };
    api.create(json!({})).header("Prefer", "respond-async").await.expect(202);
    until("the projector has taken notice", async || {
        (answer(&deployment, 0, "/health/ready").await.0 == 503).then_some(())
    })
    .await;
    assert_eq!(checkpoints(database).await, promised, "nothing is folded after the answer");

    let again = deployment.cli.run(&["projection", "pause", "--json"]).expect(0).json();
    assert_eq!((&again["already"], &again["paused"]["reason"]), (&json!(true), &json!("moved")));
    let text = deployment.cli.run(&["projection", "pause"]).expect(0).stdout;
    assert!(text.contains("already") && text.contains("since 20") && text.contains("operator"), "{text}");
    deployment.cli.run(&["projection", "resume"]).expect(0);
    until("it goes on", async || (status(&deployment)["lag"] == 0).then_some(())).await;
    let said = std::fs::read_to_string(deployment.log_path(Service::Projector, 0)).unwrap();
    assert!(
        !said.contains("slow statement"),
        "a statement that waited is not printed, page after page: {said}"
    );
}

pub async fn a_killed_rebuild_is_shown_as_abandoned(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let waiting = generations::hold_back(&deployment.database, 2).await;
    let rebuild = deployment
        .cli
        .start(&["projection", "rebuild", "--promote"], &scratch("rebuild").join("rebuild.log"));
    let building = until("it has begun", async || building(&deployment.cli)).await;
    assert_eq!(building["abandoned"], false, "it lives: {building}");
    let id = building["id"].to_string();
    let refused = deployment.cli.run(&["projection", "drop", &id]).expect(1);
    assert!(
        refused.stderr.contains("is in use: `rollcall projection rebuild` is at work on "),
        "{refused:?}"
    );

    drop(rebuild);
    drop(waiting);
    until("it is abandoned", async || {
        self::building(&deployment.cli).filter(|building| building["abandoned"] == true)
    })
    .await;
    let text = deployment.cli.run(&["projection", "list"]).expect(0).stdout;
    assert!(text.contains(&format!("`rollcall projection drop {id}`")), "{text}");
    deployment.cli.run(&["projection", "drop", &id]).expect(0);
    assert!(self::building(&deployment.cli).is_none());
    deployment.cli.run(&["projection", "rebuild", "--promote"]).expect(0);
}

/// The generation that is, or was, being built.
fn building(cli: &Cli) -> Option<Value> {
    let generations = cli.run(&["projection", "list", "--json"]).expect(0).json_lines();
    generations.into_iter().find(|generation| generation["state"] == "building")
}

pub async fn the_default_log_level_is_concise(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    // A setting of producers that consumers do not use.
    let settings = [("ROLLCALL_KAFKA__LINGER_MS", "1")];
    let deployment = Deployment::start_with(stack, &redis.url(), &settings).await;
    let migrated = deployment.cli.run(&["migrate"]).expect(0);
    let logs = Service::ALL.map(|service| std::fs::read_to_string(deployment.log_path(service, 0)).unwrap());
    for said in logs.iter().chain([&migrated.stderr]) {
        for useless in ["already exists, skipping", "announcements don't arrive", "CONFWARN", " at line "] {
            assert!(!said.contains(useless), "{useless}: {said}");
        }
    }

    let (address, options) = url_parts(stack.var("DATABASE_URL"));
    let nowhere = format!("{address}/there_is_none{options}");
    let refused = deployment.cli.clone().set("DATABASE_URL", &nowhere).run(&["projection", "list"]).expect(1);
    assert_eq!(refused.stderr.matches("does not exist").count(), 1, "{refused:?}");
    assert!(!refused.stderr.contains(" at line "), "{refused:?}");
}

/// The parts of a database's URL before and after its name.
fn url_parts(url: &str) -> (String, String) {
    let (address, options) = url.split_once('?').map_or((url, String::new()), |(a, o)| (a, format!("?{o}")));
    (address.rsplit_once('/').expect("it names a database").0.to_owned(), options)
}

pub async fn a_service_prints_its_usage_without_settings() {
    for service in Service::ALL {
        let Output { stdout, .. } = run_service(service, &["--help"]).expect(0);
        assert!(stdout.contains("Usage: ") && stdout.contains("DATABASE_URL"), "{stdout}");
        run_service(service, &["--version"]).expect(0);
        let refused = run_service(service, &["--port", "1"]).expect(2);
        assert!(refused.stdout.is_empty() && refused.stderr.contains("--help"), "{refused:?}");
    }
}
