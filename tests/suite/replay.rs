//! Generations of a large log are built, compared, promoted and taken back, again and again, while
//! others read, search, page and write.

use super::{
    generations::{run, summary},
    rebuild::{generation, load},
};
use serde_json::{Value, json};
use std::{
    env,
    sync::atomic::{AtomicBool, Ordering},
};
use tests::{Api, Deployment, Foreign, Model, Stack, scratch, until};
use uuid::Uuid;

/// How many events the log has. Without it, the test is left out: `make replay` sets it.
pub const EVENTS: &str = "REPLAY_EVENTS";
const ROUNDS: usize = 3;
/// Users that are parked, few enough for projectors to go on.
const PARKED: usize = 10;
/// Updates that are sent at once.
const WRITERS: usize = 64;
const COUNT: &str = "SELECT (SELECT count(*) FROM live.users), (SELECT count(*) FROM live.credentials), \
    (SELECT count(*) FROM live.dead_letters)";

pub async fn generations_go_round_under_load() {
    let events: usize = env::var(EVENTS).ok().and_then(|text| text.parse().ok()).expect("a number");
    let start = || &*Box::leak(Box::new(Stack::start(&scratch("replay"))));
    let stack: &'static Stack = tokio::task::spawn_blocking(start).await.unwrap();
    let patient = [("ROLLCALL_VISIBILITY_TIMEOUT", "60s")];
    let deployment = Deployment::start_with(stack, stack.var("REDIS_URL"), &patient).await;
    let (large, busy) = (deployment.tenant(), deployment.tenant());
    fill(&deployment, &large, events).await;
    let users = ids(&large).await;
    eprintln!("{events} events, {} users", users.len());

    let stop = AtomicBool::new(false);
    let rounds = async {
        for _ in 0..ROUNDS {
            round(&deployment).await;
        }
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(rounds, load(&busy, &stop), load(&busy, &stop), walk(&large, &users, &stop));

    let model = Model::of(&deployment.log().await);
    assert_eq!(model.misfits.len(), PARKED);
    for api in [&large, &busy] {
        assert!(api.all(1_000).await == model.page(&api.tenant), "{} is not as the log says", api.tenant);
    }
    drop(deployment);
    stack.stop().unwrap();
}

/// Of ten events, five create users, one updates and three come too late to have an effect. The
/// rest are deletions and credentials.
async fn fill(deployment: &Deployment, api: &Api, events: usize) {
    let imported = async |kind: &[&str], lines: Vec<Value>| {
        let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
        let (cli, tenant, lines) = (deployment.cli.clone(), api.tenant.clone(), lines.join("\n"));
        let args: Vec<_> = ["log", "import", "-", "--tenant", &tenant]
            .iter()
            .chain(kind)
            .map(|arg| (*arg).to_owned())
            .collect();
        let import = move || cli.run_with(&args.iter().map(String::as_str).collect::<Vec<_>>(), &lines);
        tokio::task::spawn_blocking(import).await.unwrap().expect(0);
    };
    let claims = |n| json!({ "claims": { "n": n, "third": n % 3, "tags": ["a", n % 7] } });
    imported(&[], (0..events / 2).map(claims).collect()).await;
    let users = ids(api).await;
    let [updated, deleted, issued, parked, ..] = users.chunks(users.len() / 5).collect::<Vec<_>>()[..] else {
        panic!("there are enough users")
    };
    for some in updated.chunks(WRITERS) {
        let updates = some.iter().map(|id| api.update(id, json!({ "claims": { "third": 7 } })).into_future());
        for answer in futures_util::future::join_all(updates).await {
            answer.expect(200);
        }
    }
    let key = |id: &String| format!("{}/{id}", api.tenant);
    let late = users.iter().cycle().take(events * 3 / 10).map(|id| Foreign::deletion(&key(id), 1));
    let deletions = deleted.iter().take(events / 20).map(|id| Foreign::deletion(&key(id), 2));
    let gaps = parked.iter().take(PARKED).map(|id| Foreign::deletion(&key(id), 9));
    for records in [late.collect(), deletions.collect(), gaps.collect::<Vec<_>>()] {
        deployment.append("users.events", &records).await;
    }
    let credential = |id| json!({ "userId": id, "id": Uuid::new_v4(), "type": "T", "profile": "compact" });
    imported(&["--credentials"], issued.iter().take(events / 20).map(credential).collect()).await;
    let expected = [events / 2 - events / 20, events / 20, PARKED].map(|count| i64::try_from(count).unwrap());
    until("all is folded", async || {
        let counted: (i64, i64, i64) = sqlx::query_as(COUNT).fetch_one(&deployment.database).await.unwrap();
        (<[i64; 3]>::from(counted) == expected).then_some(())
    })
    .await;
}

async fn ids(api: &Api) -> Vec<String> {
    api.all(1_000).await.iter().map(|user| user["id"].as_str().expect("an id").to_owned()).collect()
}

/// Builds a generation, promotes it, goes back, and promotes it for good.
async fn round(deployment: &Deployment) {
    let cli = &deployment.cli;
    let first = generation(&deployment.database).await.to_string();
    let built = summary(cli, &["projection", "rebuild", "--json"], 0).await["generation"].to_string();
    for (verb, other) in [("promote", &built), ("rollback", &first), ("promote", &built)] {
        let verified = summary(cli, &["projection", "verify", other, "--json"], 0).await;
        assert_eq!(verified["equal"], true, "{verified}");
        let args = ["projection", verb, other];
        run(cli, if verb == "rollback" { &args[..2] } else { &args }, 0).await;
        assert_eq!(generation(&deployment.database).await.to_string(), *other);
    }
    run(cli, &["projection", "drop", &first], 0).await;
}

/// Pages through a tenant and searches in it until it is stopped. Nobody writes there, so every
/// walk finds the same.
async fn walk(api: &Api, users: &[String], stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        assert!(ids(api).await == users, "a walk found other users");
        let found = api.search(json!({ "claims": { "third": 7 } })).await.expect(200);
        assert!(!found.ids().is_empty());
    }
}
