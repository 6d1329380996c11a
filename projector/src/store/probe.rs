//! Whether Redis can be written to. One that is full, or a replica, answers every question and takes no mark, so every delete would be
//! answered 202 while all looks well.

use super::link::{category, connection};
use redis::{Client, RedisError, RedisResult};
use service_kit::health::Health;

/// How long the probe's key stays, in seconds.
const LIFE: u64 = 10;

/// Adds Redis to what is named; a projector folds without it.
pub(crate) fn watch(health: &Health, client: &Client, topic_prefix: &str) {
    let (client, key) = (client.clone(), format!("rollcall:{topic_prefix}health"));
    health.add_optional("redis", move || {
        let (client, key) = (client.clone(), key.clone());
        Box::pin(async move { write(&client, &key).await.map_err(|error| reason(&error)) })
    });
}

async fn write(client: &Client, key: &str) -> RedisResult<()> {
    let mut connection = connection(client).await?;
    redis::cmd("SET").arg(key).arg("").arg("EX").arg(LIFE).exec_async(&mut connection).await
}

fn reason(error: &RedisError) -> String {
    let why = match error.code() {
        Some("OOM") => "it is full (maxmemory is reached and nothing may be evicted)",
        Some("READONLY") => "it is a read-only replica",
        Some("MISCONF") => "it can't save its data, and refuses writes until it can",
        Some("NOREPLICAS") => "it has fewer replicas than min-replicas-to-write",
        Some("NOPERM" | "NOAUTH" | "WRONGPASS") => "it does not let this user write",
        Some("LOADING") => "it is loading its data",
        _ => return format!("it can't be written: {}", category(error)),
    };
    format!("it can't be written: {why}. Deletes are answered 202 meanwhile, and are finished once it can")
}
