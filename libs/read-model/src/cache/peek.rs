//! Looks at one cached body, for whoever compares it with the log. Readers need a lease as well.

use super::{CacheKeys, values};
use crate::redis_connection::{RedisConnection, connection};
use bytes::Bytes;
use events_schema::UserKey;
use redis::aio::MultiplexedConnection;
use service_kit::settings::Settings;

/// Version and body under a key. `None`: no body, or no answer.
pub(crate) async fn body(connection: &mut MultiplexedConnection, key: &str) -> Option<(i64, Bytes)> {
    let value: Option<Vec<u8>> = redis::cmd("GET").arg(key).query_async(connection).await.ok()?;
    values::parse_body(value?)
}

/// Version and body that the cache of a generation holds for a user, over a connection of its own.
/// `None`: no body, or Redis can't be reached.
pub async fn cached_body(
    settings: &Settings,
    generation: i32,
    partition: i32,
    user: &UserKey,
) -> Option<(i64, Bytes)> {
    let client = RedisConnection::client(settings.redis_url().ok()?).ok()?;
    let key = CacheKeys::new(&settings.topic_prefix).body(partition, generation, user);
    body(&mut connection(&client).await.ok()?, &key).await
}
