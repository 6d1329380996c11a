//! A panic is a bug. The work on whose thread it happens starts again, and nothing is lost.

use super::{generations::run, transactions::answer};
use serde_json::json;
use tests::{Deployment, RedisServer, Service, Stack, until};

/// The first commit of the users, of a generation that follows and of a projection panics.
const PANICS: &str = "fold.marked=1*panic;erase.committing=1*panic;projection.committed=1*panic";

pub async fn work_that_panics_starts_again(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    run(&deployment.cli, &["projection", "rebuild"], 0).await;
    deployment.launch_instance(Service::Projector, 0, &[("FAILPOINTS", PANICS)]);
    deployment.ready(Service::Projector).await;
    let api = deployment.tenant();
    let created = api.create(json!({ "claims": { "n": 1 } })).await;
    assert!(matches!(created.status, 201 | 202), "{}", created.text());
    let id = created.header("location").rsplit('/').next().unwrap().to_owned();
    until("it is folded", async || (api.get(&id).await.status == 200).then_some(())).await;
    until("the projector is ready", async || {
        (answer(&deployment, 0, "/health/ready").await.0 == 200).then_some(())
    })
    .await;
    api.update(&id, json!({ "claims": { "n": 2 } })).await.expect(200);
    for args in [
        &["projection", "list", "--json"][..],
        &["projection", "list", "--json", "--projection", "statistics"],
    ] {
        until("every generation is level", async || {
            let listed = run(&deployment.cli, args, 0).await.json_lines();
            listed.iter().all(|generation| generation["lag"] == 0).then_some(())
        })
        .await;
    }
    let log = std::fs::read_to_string(deployment.log_path(Service::Projector, 0)).unwrap();
    assert_eq!(log.matches("a bug: the code panicked").count(), 3, "{log}");
}
