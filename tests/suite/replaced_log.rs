//! The folded log is replaced by another one. Once that is known, nothing is appended until an
//! operator acts, and earlier appends are not reported as failed.

use super::log_identity::{make_log_anew, rebuild};
use serde_json::{Value, json};
use tests::{Answer, Deployment, RedisServer, Service, Stack, until};

const NOT_FOLDED: &str = "the log is not the one that was folded";

/// Waits until the command service reports it.
async fn is_known(deployment: &Deployment) {
    let url = format!("{}/health/ready", deployment.url(Service::Command));
    until("the command service knows that it is another log", async || {
        let answer = reqwest::get(&url).await.ok()?;
        (answer.status() == 503 && answer.text().await.ok()?.contains(NOT_FOLDED)).then_some(())
    })
    .await;
}

fn message(answer: &Answer) -> String {
    answer.json()["message"].as_str().unwrap().to_owned()
}

pub async fn nothing_is_appended_before_an_operator_acts(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    let deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    let id = api.user(json!({ "log": "old" })).await;
    make_log_anew(stack, &deployment).await;
    is_known(&deployment).await;

    let claims = json!({ "claims": { "log": "between" } });
    let writes = [
        api.create(claims.clone()),
        api.create(claims.clone()).header("Prefer", "respond-async"),
        api.create(claims.clone()).header("Idempotency-Key", "once"),
        api.update(&id, claims),
        api.delete(&id),
    ];
    for write in writes {
        let answer = write.await.expect(503);
        assert!(message(&answer).contains("nothing was written"), "{}", answer.text());
        assert!(answer.find("retry-after").is_some() && answer.find("log-position").is_none());
    }
    let credential = json!({ "userId": id, "id": uuid::Uuid::new_v4(), "type": "t", "profile": "mobile" });
    for (line, kind) in [(json!({ "claims": {} }), None), (credential, Some("--credentials"))] {
        let args: Vec<_> =
            ["log", "import", "-", "--no-wait", "--tenant", &api.tenant].into_iter().chain(kind).collect();
        let refused = deployment.cli.run_with(&args, &line.to_string()).expect(1);
        assert!(
            refused.stderr.contains(NOT_FOLDED) && refused.stderr.contains("nothing was appended"),
            "{refused:?}"
        );
    }
    for topic in ["users.events", "users.credentials"] {
        assert!(deployment.topic(topic).await.is_empty(), "{topic}");
    }
    let keys: i64 = sqlx::query_scalar("SELECT count(*) FROM rollcall_keys.data_keys")
        .fetch_one(&deployment.keys)
        .await
        .unwrap();
    assert_eq!(keys, 1, "no key was made for a user that never was");
    api.get(&id).await.expect(200);

    rebuild(&deployment).await;
    until("users can be written again", async || {
        (api.create(json!({ "claims": { "log": "new" } })).await.status == 201).then_some(())
    })
    .await;
    let users = api.list("").await.expect(200).data();
    assert!(
        users.iter().all(|user| user["claims"]["log"] == "new"),
        "nothing of what was refused: {users:?}"
    );
    api.get(&id).await.expect(404);
    assert!(deployment.cli.run(&["dead-letters", "list", "--json"]).expect(0).json_lines().is_empty());
}

pub async fn earlier_appends_may_still_take_effect(stack: &'static Stack) {
    let redis = RedisServer::start().await;
    // A create waits as long as the grace period after which unconfirmed appends are looked up. So
    // the check of the log is blocked for longer than that.
    let mut deployment = Deployment::start(stack, &redis.url()).await;
    let api = deployment.tenant();
    api.user(json!({ "log": "old" })).await;
    deployment.stop(Service::Projector);
    // The check of the log also reads the pause.
    let mut block = deployment.database.begin().await.unwrap();
    sqlx::query("LOCK TABLE rollcall.pause IN ACCESS EXCLUSIVE MODE").execute(&mut *block).await.unwrap();
    make_log_anew(stack, &deployment).await;

    // One of them has the position of another folded event, so it is noticed.
    let creates = (0..24).map(|n| {
        let create =
            api.create(json!({ "claims": { "n": n } })).header("X-Request-Id", &format!("unaware-{n}"));
        async move { (n, create.await) }
    });
    let answers = futures_util::future::join_all(creates).await;
    let noticed: Vec<_> = answers.iter().filter(|(_, answer)| answer.status == 503).collect();
    assert!(!noticed.is_empty(), "one of them lies below what was folded");
    for (_, answer) in &noticed {
        assert!(message(answer).contains("may still take effect"), "{}", answer.text());
    }
    assert!(answers.iter().all(|(_, answer)| matches!(answer.status, 202 | 503)));
    block.rollback().await.unwrap();
    is_known(&deployment).await;
    deployment.launch(Service::Projector);
    rebuild(&deployment).await;

    deployment.ready(Service::Projector).await;
    until("every one of them took effect", async || {
        let mut shown: Vec<_> = api.all(100).await.iter().map(|user| user["claims"]["n"].clone()).collect();
        shown.sort_by_key(Value::as_u64);
        (shown == (0..24).map(Value::from).collect::<Vec<_>>()).then_some(())
    })
    .await;
    // Their analytic ends wait until the outcome is known. None of them failed.
    until("nothing is uncertain any more", async || {
        let metrics = reqwest::get(format!("{}/metrics", deployment.url(Service::Command))).await.ok()?;
        metrics.text().await.ok()?.contains("rollcall_uncertain_appends 0").then_some(())
    })
    .await;
    let events = deployment.topic("users.analytics").await;
    let failed = events.iter().filter(|event| event.header("ce_type") == "USER_CREATE_FAIL");
    assert_eq!(failed.map(|event| &event.key).collect::<Vec<_>>(), Vec::<&String>::new());
}
