//! The analytics level decides what events contain: level 1 no data at all, level 3 everything.

use super::contracts;
use serde_json::json;
use tests::{Deployment, Record, RedisServer, Stack, until};
use uuid::Uuid;

/// The events about a user with `marker` in its data, from create to delete.
async fn life(stack: &'static Stack, level: &str, marker: &str) -> Vec<Record> {
    let redis = RedisServer::start().await;
    let deployment =
        Deployment::start_with(stack, &redis.url(), &[("ROLLCALL_ANALYTICS_LEVEL", level)]).await;
    let api = deployment.tenant();
    let user = json!({ "claims": { "name": marker }, "authenticationProvider": { "subjectId": marker } });
    let id = api.create(user.clone()).await.expect(201).id();
    api.search(user.clone()).await.expect(200);
    api.update(&id, user).await.expect(200);
    api.delete(&id).header("X-Request-Id", "last").await.expect(204);
    until("all ends are there", async || {
        let events = deployment.topic("users.analytics").await;
        let ends = events.iter().filter(|event| !event.header("ce_type").ends_with("_START")).count();
        (ends == 4).then_some(events)
    })
    .await
}

pub async fn level_1_has_no_data(stack: &'static Stack) {
    for event in life(stack, "1", "marker").await {
        let event = event.json();
        assert!(event.get("data").is_none(), "{event}");
        assert!(
            event["type"].is_string() && event["requestId"].is_string() && event["timestamp"].is_string()
        );
    }
}

pub async fn level_3_has_all_data(stack: &'static Stack) {
    let marker = format!("marker{}", Uuid::new_v4().simple());
    let events = life(stack, "3", &marker).await;
    let shows = |event: &&Record| event.json()["data"].to_string().contains(&marker);
    let showing: Vec<_> =
        events.iter().filter(shows).map(|event| event.header("ce_type").to_owned()).collect();
    for operation in ["USER_CREATE", "USER_SEARCH", "USER_UPDATE"] {
        assert!(showing.iter().any(|name| name.starts_with(operation)), "{operation} in {showing:?}");
    }
    contracts::count_by_schema(&stack.tenant(), &events).await;
}
