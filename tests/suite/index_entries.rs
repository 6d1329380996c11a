//! An update of a user makes no new index entry: its row moves within its page of the table.

use serde_json::json;
use tests::{Deployment, Stack, until};

/// Enough for the page to be cleaned up many times.
const UPDATES: i64 = 200;

/// How many updates of users PostgreSQL has counted, and how many of them changed no index.
const COUNTED: &str = "\
SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables \
WHERE schemaname = 'generation_1' AND relname = 'users' AND n_tup_upd >= $1";

pub async fn updates_of_a_user_make_no_index_entries(stack: &'static Stack) {
    let deployment = Deployment::start(stack, stack.var("REDIS_URL")).await;
    let api = deployment.tenant();
    let id = api.user(json!({ "n": 0 })).await;
    for n in 1..=UPDATES {
        api.update(&id, json!({ "claims": { "n": n } })).await.expect(200);
    }
    // Sessions report what they did from time to time.
    let (updates, heap_only): (i64, i64) = until("all updates are counted", async || {
        sqlx::query_as(COUNTED).bind(UPDATES).fetch_optional(&deployment.database).await.unwrap()
    })
    .await;
    // An update that finds no room in its page moves to another one, with new index entries.
    assert!(heap_only * 10 >= updates * 9, "{heap_only} of {updates} updates are heap-only");
}
