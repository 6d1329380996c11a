//! The users of the benchmark.

use serde_json::{Value, json};

/// The tenant of all of them.
pub(crate) const TENANT: &str = "bench";

fn claims(n: u64) -> Value {
    json!({
        "externalUserId": format!("u-{n}"), "name": format!("Ada Lovelace {n}"), "email": format!("ada{n}@example.com"),
        "level": n % 50, "active": n.is_multiple_of(2), "address": { "city": "Zurich", "zip": 8000 + n % 100 },
        "groups": ["staff", format!("team-{}", n % 20)], "writer": null,
    })
}

/// The body of a request for a user of eight claims.
pub(crate) fn request(n: u64) -> String {
    json!({ "claims": claims(n) }).to_string()
}

/// The body of a response.
pub(crate) fn stored(id: &str, n: u64) -> String {
    json!({ "id": id, "claims": claims(n) }).to_string()
}
