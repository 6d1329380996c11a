//! Scans Redis for entries of users: bodies, and invalidations, which are a version without a body.

use crate::progress::{ScanProgress, Step};
use events_schema::UserKey;
use read_model::cache::{CacheKeys, values};
use redis::aio::MultiplexedConnection;
use service_kit::settings::Settings;

/// How many keys Redis scans in one step.
const STEP: u32 = 1_000;

/// What was found.
#[derive(Default)]
pub(super) struct Cached {
    /// Redis keys that were scanned, of anybody.
    pub(super) keys: u64,
    /// The users with a body, and the body's generation.
    pub(super) bodies: Vec<(UserKey, String)>,
    /// How many invalidations there are.
    pub(super) invalidations: u64,
}

/// Scans all keys of all generations, and reads those of the users for whom `is_wanted` is true.
///
/// # Errors
/// Redis can't be reached.
pub(super) async fn scan(
    settings: &Settings,
    is_wanted: impl Fn(&UserKey) -> bool,
    progress: &mut impl FnMut(ScanProgress),
) -> anyhow::Result<Cached> {
    let client = read_model::redis_connection::RedisConnection::client(settings.redis_url()?)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let total: u64 = redis::cmd("DBSIZE").query_async(&mut connection).await?;
    let names = CacheKeys::new(&settings.topic_prefix);
    let (mut found, mut cursor) = (Cached::default(), 0);
    loop {
        progress(ScanProgress { step: Step::Cache, done: found.keys, total });
        let mut scan = redis::cmd("SCAN");
        // A pattern would not save Redis any work.
        scan.arg(cursor).arg("COUNT").arg(STEP);
        let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(&mut connection).await?;
        found.keys += u64::try_from(keys.len())?;
        for key in keys {
            let Some((user, generation)) = names.user_of(&key).filter(|(user, _)| is_wanted(user)) else {
                continue;
            };
            if is_body(&mut connection, &key).await? {
                found.bodies.push((user, generation));
            } else {
                found.invalidations += 1;
            }
        }
        cursor = next;
        if cursor == 0 {
            return Ok(found);
        }
    }
}

/// Whether the value is more than a version. A value of an unknown form counts as a body; one that is
/// gone by now does not.
async fn is_body(connection: &mut MultiplexedConnection, key: &[u8]) -> redis::RedisResult<bool> {
    let value: Option<Vec<u8>> = redis::cmd("GET").arg(key).query_async(connection).await?;
    Ok(value.is_some_and(|value| !values::is_invalidation(&value)))
}
