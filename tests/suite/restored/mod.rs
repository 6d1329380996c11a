//! PostgreSQL is restored to a time before users were deleted. Nobody sees them again: reads wait
//! until the log is folded, and no service is ready before.

mod backup;
mod recipe;
mod running;
mod started;

pub use recipe::the_documented_backup_has_every_schema;
pub use running::{a_database_is_restored_under_running_services, a_projector_that_restarts_stops_no_read};
pub use started::a_restored_database_shows_no_deleted_user;

use serde_json::{Value, json};
use tests::{Answer, Api, Deployment, Service, until};

/// The code of an answer that must wait for the catch-up.
const CATCHING_UP: &str = "catching up";
/// A projector that pauses between batches, so that tests can observe the catch-up.
const SLOWLY: (&str, &str) = ("FAILPOINTS", "fold.committing=sleep(1000)");

/// Whether an answer says why, and has `Retry-After`.
fn is_told_to_wait(answer: &Answer) -> bool {
    if answer.status != 503 {
        return false;
    }
    let problem = answer.json();
    assert_eq!(problem["code"], "ServiceUnavailable", "{problem}");
    assert!(problem["message"].as_str().unwrap().contains(CATCHING_UP), "{problem}");
    assert!(answer.find("retry-after").is_some());
    true
}

/// Reads a user in every way. No read shows the user. Returns whether all of them waited for the
/// catch-up.
async fn is_not_shown(api: &Api, id: &str) -> bool {
    let (get, list, search, credentials) = tokio::join!(
        api.get(id).into_future(),
        api.list("limit=1000").into_future(),
        api.search(json!({ "claims": { "kind": "probe" } })).into_future(),
        api.credentials(id, "").into_future()
    );
    assert!(matches!(get.status, 404 | 503), "a deleted user is shown: {} {}", get.status, get.text());
    for answer in [&list, &search, &credentials] {
        assert!(!answer.text().contains(id), "a deleted user is shown: {}", answer.text());
        assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
    }
    [&get, &list, &search, &credentials].into_iter().all(is_told_to_wait)
}

/// The status of a service's `/health/ready`, and why the named dependency is down, if it is.
async fn health(deployment: &Deployment, service: Service, part: &str) -> Option<(u16, Option<String>)> {
    let url = format!("{}/health/ready", deployment.url(service));
    let answer = reqwest::get(url).await.ok()?;
    let status = answer.status().as_u16();
    let report: Value = answer.json().await.ok()?;
    let reason = report["dependencies"][part]["reason"].as_str().map(str::to_owned);
    Some((status, reason))
}

/// Waits until a service is not ready because it catches up, with these words.
async fn catches_up(deployment: &Deployment, service: Service, words: &str) {
    until(&format!("{service:?} catches up: {words}"), async || {
        let (status, reason) = health(deployment, service, "readModel").await?;
        (status == 503 && reason?.contains(words)).then_some(())
    })
    .await;
}
