//! Servers refuse connections, freeze, are slow, die or vanish. What does not need them goes on,
//! everything else is answered in bounded time, and all recovers by itself.

mod bench;
mod kafka;
mod ledger;
mod postgres;
mod redis;
mod start;

pub use kafka::a_stack_recovers_by_itself;
pub use postgres::{
    a_full_pool_is_503, a_lost_listener_reconnects, nothing_hangs_whatever_happens_to_postgres,
};
pub use redis::everything_goes_on_without_redis;
pub use start::services_may_start_before_their_servers;

use serde_json::json;
use std::time::Duration;
use tests::{Answer, Api};

/// The bound of every answer. Generous, because the machine may be slow.
const BOUND: Duration = Duration::from_secs(30);

/// The result, within the bound.
async fn bounded<T>(what: &str, work: impl IntoFuture<Output = T>) -> T {
    tokio::time::timeout(BOUND, work).await.unwrap_or_else(|_| panic!("it takes for ever: {what}"))
}

/// One read of each kind, concurrently.
async fn reads(api: &Api, id: &str) -> [Answer; 3] {
    let get = bounded("a read by id", api.get(id));
    let list = bounded("a list", api.list("limit=2"));
    let search = bounded("a search", api.search(json!({ "claims": { "kind": "probe" } })));
    tokio::join!(get, list, search).into()
}

/// All of them succeed.
async fn all_read(api: &Api, id: &str) {
    for answer in reads(api, id).await {
        answer.expect(200);
    }
}

/// Each of them succeeds or has `Retry-After`.
async fn read_or_told(api: &Api, id: &str) {
    for answer in reads(api, id).await {
        if answer.status != 200 {
            ledger::retry_is_offered(&answer);
        }
    }
}
