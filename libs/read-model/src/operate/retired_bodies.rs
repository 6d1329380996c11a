//! Cached bodies of generations that are no longer live. Nobody reads them, and they hold personal data.

use crate::{
    cache::{CacheKeys, generation_of},
    redis_connection::RedisConnection,
};
use redis::{RedisResult, aio::MultiplexedConnection};
use service_kit::settings::Settings;

/// How many keys Redis scans in one step.
const STEP: u32 = 1_000;

/// Removes the bodies of every generation but the live one from Redis. If another generation becomes live
/// meanwhile, its bodies may be removed too: a reader that misses a body asks PostgreSQL.
///
/// # Errors
/// Redis can't be reached, or fails on the way.
pub async fn unlink(settings: &Settings, live: i32) -> anyhow::Result<()> {
    let client = RedisConnection::client(settings.redis_url()?)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    Ok(unlink_on(&mut connection, &CacheKeys::new(&settings.topic_prefix), live).await?)
}

/// The same on a connection.
pub(crate) async fn unlink_on(
    connection: &mut MultiplexedConnection,
    keys: &CacheKeys,
    live: i32,
) -> RedisResult<()> {
    let bodies = keys.bodies_pattern();
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&bodies).arg("COUNT").arg(STEP);
        let (next, mut keys): (u64, Vec<Vec<u8>>) = scan.query_async(connection).await?;
        keys.retain(|key| generation_of(key).is_some_and(|generation| generation != live));
        if !keys.is_empty() {
            redis::cmd("UNLINK").arg(keys).query_async::<()>(connection).await?;
        }
        cursor = next;
        if cursor == 0 {
            return Ok(());
        }
    }
}
