//! The health check of Redis: whether it accepts writes. A server that is full, or a replica,
//! answers every query but takes no invalidation, and then every delete is answered 202.

use crate::{
    cache::CacheKeys,
    redis_connection::{category, connection},
};
use redis::{Client, RedisError, RedisResult};
use service_kit::health::Health;

/// Seconds until the probe's key expires.
const LIFE: u64 = 10;

/// Adds Redis to the health report. It is optional: a projector works without it.
pub fn watch(health: &Health, client: &Client, topic_prefix: &str) {
    let (client, key) = (client.clone(), CacheKeys::new(topic_prefix).health());
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
