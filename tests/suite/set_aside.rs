//! What waits for an operator is counted, and the owner of each partition is shown.

use super::transactions::{answer, notes, status};
use serde_json::Value;
use std::collections::BTreeSet;
use tests::{Deployment, Foreign, RedisServer, Service, Stack, until};
use uuid::Uuid;

pub async fn what_waits_for_an_operator_is_counted(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    until("nothing waits, and that is shown", async || {
        answer(&deployment, 0, "/metrics").await.1.contains("rollcall_parked_users 0").then_some(())
    })
    .await;
    assert_eq!(status(&deployment)["setAside"]["deadLetters"], 0);
    assert!(notes(&deployment).await["deadLetters"].is_null());

    let tenant = deployment.tenant().tenant;
    let gap = |_| Foreign::deletion(&format!("{tenant}/{}", Uuid::new_v4()), 5);
    deployment.append("users.events", &(0..2).map(gap).collect::<Vec<_>>()).await;
    let bad = Foreign::event(&format!("{tenant}/{}", Uuid::new_v4()), "credential.issued.v1", "not json");
    deployment.append("users.credentials", &[bad]).await;
    let found = until("all of it is counted", async || {
        Some(status(&deployment)["setAside"].clone()).filter(|found| found["deadLetters"] == 3)
    })
    .await;
    assert_eq!(found["parkedUsers"], 2, "{found}");
    assert!(found["oldest"].as_str().is_some_and(|oldest| oldest.starts_with("20")), "{found}");
    let letters: i64 =
        found["reasons"].as_array().unwrap().iter().map(|reason| reason["letters"].as_i64().unwrap()).sum();
    assert_eq!(letters, 3, "{found}");
    let words = "3 dead letters wait, the oldest since ";
    let text = deployment.cli.run(&["projection", "status"]).expect(0).stdout;
    assert!(text.contains(words) && text.contains("2 users are parked"), "{text}");
    until("health says so", async || {
        notes(&deployment).await["deadLetters"].as_str()?.starts_with(words).then_some(())
    })
    .await;
    let (_, metrics) = answer(&deployment, 0, "/metrics").await;
    assert!(metrics.contains("rollcall_parked_users 2"), "{metrics}");
    assert_eq!(sum(&metrics, "rollcall_dead_letters{"), 3.0);
    assert!(sum(&metrics, "rollcall_dead_letters_oldest_seconds") > 0.0);

    let list = deployment.cli.run(&["dead-letters", "list", "--json"]).expect(0).json_lines();
    for letter in list {
        deployment.cli.run(&["dead-letters", "discard", letter["id"].as_str().unwrap()]).expect(0);
    }
    until("nothing waits any more", async || {
        let (_, metrics) = answer(&deployment, 0, "/metrics").await;
        (sum(&metrics, "rollcall_dead_letters{") == 0.0 && metrics.contains("rollcall_parked_users 0"))
            .then_some(())
    })
    .await;
    assert!(notes(&deployment).await["deadLetters"].is_null());
}

/// The values of all metrics lines with this prefix.
fn sum(metrics: &str, begin: &str) -> f64 {
    let lines = metrics.lines().filter(|line| line.starts_with(begin));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

pub async fn the_owner_of_each_partition_is_shown(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let mut deployment = Deployment::start_many(stack, &redis.url(), 2, &[]).await;
    let both = until("two projectors share the partitions", async || {
        let owners = owners(&deployment);
        (owners.len() == 2 && !owners.contains(NOBODY)).then_some(owners)
    })
    .await;
    let first = own_name(&deployment, 0).await;
    assert!(both.contains(&first), "{first} is one of {both:?}");
    assert!(both.iter().all(|name| name.contains('/')), "host and process: {both:?}");

    deployment.stop_instance(Service::Projector, 1);
    until("the other one has all of them", async || {
        (owners(&deployment) == [first.clone()].into()).then_some(())
    })
    .await;
    let text = deployment.cli.run(&["projection", "status"]).expect(0).stdout;
    assert!(text.contains(&first), "{text}");
    deployment.cli.run(&["projection", "pause"]).expect(0);
    assert_eq!(owners(&deployment), [NOBODY.to_owned()].into(), "nobody folds");
    deployment.cli.run(&["projection", "resume"]).expect(0);
    until("it has them again", async || (owners(&deployment) == [first.clone()].into()).then_some(())).await;
}

/// The same as [`owners`] returns.
const NOBODY: &str = "nobody";

fn owners(deployment: &Deployment) -> BTreeSet<String> {
    let status = status(deployment);
    let owner = |partition: &Value| partition["owner"].as_str().unwrap_or(NOBODY).to_owned();
    status["partitions"].as_array().unwrap().iter().map(owner).collect()
}

/// The name of a projector in its metrics and its health.
async fn own_name(deployment: &Deployment, n: usize) -> String {
    until("it owns partitions", async || {
        let (_, metrics) = answer(deployment, n, "/metrics").await;
        let line = metrics.lines().find(|line| line.starts_with("rollcall_projector_owned{"))?;
        let (_, rest) = line.split_once("instance=\"")?;
        Some(rest.split_once('"')?.0.to_owned())
    })
    .await
}
