//! No tenant can see, find, change or wait for another tenant's users.

use serde_json::{Value, json};
use tests::{Answer, Api, Stack, until};

const FOUND_BY: &str = "shared-marker";

struct Neighbours {
    ours: Api,
    theirs: Api,
    their_user: String,
}

async fn neighbours(stack: &Stack) -> Neighbours {
    let (ours, theirs) = (stack.tenant(), stack.tenant());
    let user =
        json!({ "claims": { "marker": FOUND_BY }, "authenticationProvider": { "subjectId": FOUND_BY } });
    let their_user = theirs.create(user).await.expect(201).id();
    Neighbours { ours, theirs, their_user }
}

pub async fn another_tenants_user_is_404(stack: &'static Stack) {
    let Neighbours { ours, theirs, their_user } = neighbours(stack).await;
    ours.get(&their_user).await.expect(404);
    ours.get(&their_user).header("If-None-Match", "*").await.expect(404);
    ours.update(&their_user, json!({ "claims": {} })).await.expect(404);
    ours.update(&their_user, json!({ "claims": {} })).header("If-Match", "\"1\"").await.expect(404);
    ours.delete(&their_user).await.expect(404);
    assert_eq!(ours.credentials(&their_user, "").await.expect(200).json(), json!({ "data": [] }));
    assert_eq!(theirs.get(&their_user).await.expect(200).version(), 1, "nothing of theirs has changed");
}

pub async fn lists_and_searches_stay_within_the_tenant(stack: &'static Stack) {
    let Neighbours { ours, theirs, their_user } = neighbours(stack).await;
    let our_user = ours.user(json!({ "marker": FOUND_BY })).await;
    let criteria = [json!({}), json!({ "claims": { "marker": FOUND_BY } })];
    for (api, user) in [(&ours, &our_user), (&theirs, &their_user)] {
        assert_eq!(api.list("").await.expect(200).ids(), [user.as_str()]);
        for criteria in &criteria {
            assert_eq!(api.search(criteria.clone()).await.expect(200).ids(), [user.as_str()]);
        }
    }
    let by_subject = json!({ "authenticationProvider": { "subjectId": FOUND_BY } });
    assert_eq!(ours.search(by_subject).await.expect(200).data(), Vec::<Value>::new());
}

pub async fn another_tenants_cursor_is_only_a_time(stack: &'static Stack) {
    let Neighbours { ours, theirs, .. } = neighbours(stack).await;
    theirs.user(json!({})).await;
    let our_user = ours.user(json!({})).await;
    let cursor = theirs.list("limit=1").await.expect(200).next().unwrap();
    assert_eq!(ours.list(&format!("cursor={cursor}")).await.expect(200).ids(), [our_user.as_str()]);
    assert_eq!(ours.search(json!({ "cursor": cursor })).await.expect(200).ids(), [our_user.as_str()]);
}

pub async fn another_tenants_position_shows_nothing(stack: &'static Stack) {
    let Neighbours { ours, theirs, their_user } = neighbours(stack).await;
    let put = theirs.update(&their_user, json!({ "claims": {} })).await.expect(200);
    ours.get(&their_user).header("Read-After", put.header("log-position")).await.expect(404);
    assert_eq!(
        ours.list("").header("Read-After", put.header("log-position")).await.expect(200).data(),
        Vec::<Value>::new()
    );
}

pub async fn two_tenants_may_have_the_same_id(stack: &'static Stack) {
    let (ours, theirs) = (stack.tenant(), stack.tenant());
    let id = uuid::Uuid::new_v4().to_string();
    for (api, claims) in [(&ours, json!({ "of": "ours" })), (&theirs, json!({ "of": "theirs" }))] {
        let line = json!({ "id": id, "claims": claims }).to_string();
        stack.cli().run_with(&["log", "import", "-", "--tenant", &api.tenant], &line).expect(0);
        assert_eq!(api.get(&id).await.expect(200).json()["claims"], claims);
    }
    ours.delete(&id).await.expect(204);
    ours.get(&id).await.expect(404);
    theirs.get(&id).await.expect(200);
}

pub async fn an_id_in_a_body_stays_within_the_tenant(stack: &'static Stack) {
    let Neighbours { ours, their_user, .. } = neighbours(stack).await;
    let our_user = ours.user(json!({})).await;
    ours.update(&our_user, json!({ "id": their_user, "claims": {} })).await.expect(400);
    ours.create(json!({ "id": their_user, "claims": {} })).await.expect(400);
}

pub async fn the_log_line_of_a_request_names_its_tenant(stack: &'static Stack) {
    let api = stack.tenant();
    let created = api.create(json!({})).await.expect(201);
    let refused = api.update(&created.id(), json!({ "claims": 1 })).await.expect(400);
    let found = api.get(&created.id()).await.expect(200);
    for answer in [&created, &refused, &found] {
        assert_eq!(log_line(stack, answer).await["tenant"], api.tenant, "{answer:?}");
    }
}

/// The log line of the request that got this answer.
async fn log_line(stack: &Stack, answer: &Answer) -> Value {
    let id = answer.header("x-request-id");
    until("the request has a log line", async || {
        let log = std::fs::read_to_string(stack.home.join("run.log")).unwrap();
        let mut lines =
            log.lines().filter(|line| line.contains(id)).filter_map(|line| serde_json::from_str(line).ok());
        lines.find(|line: &Value| line["target"] == "http" && line["request_id"] == id)
    })
    .await
}
