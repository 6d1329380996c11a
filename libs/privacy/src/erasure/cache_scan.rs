//! What Redis holds of users: bodies, and marks, which are a version without a body.

use crate::progress::{LookProgress, Step};
use events_schema::UserKey;
use read_model::cache::{CacheKeys, values};
use redis::aio::MultiplexedConnection;
use service_kit::settings::Settings;

/// Keys that are looked at in one step.
const STEP: u32 = 1_000;

/// What was found.
#[derive(Default)]
pub(super) struct Cached {
    /// Keys that were looked at, of whomever.
    pub(super) keys: u64,
    /// Whose bodies are there, with the generation that they are of.
    pub(super) bodies: Vec<(UserKey, String)>,
    /// How many marks there are.
    pub(super) marks: u64,
}

/// Looks at every key of the deployment, of any generation, and into those of the users that are asked for.
///
/// # Errors
/// Redis can't be asked.
pub(super) async fn look(
    settings: &Settings,
    is_asked: impl Fn(&UserKey) -> bool,
    progress: &mut impl FnMut(LookProgress),
) -> anyhow::Result<Cached> {
    let client = read_model::link::Link::client(settings.redis_url()?)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let total: u64 = redis::cmd("DBSIZE").query_async(&mut connection).await?;
    let names = CacheKeys::new(&settings.topic_prefix);
    let (mut found, mut cursor) = (Cached::default(), 0);
    loop {
        progress(LookProgress { step: Step::Cache, done: found.keys, total });
        let mut scan = redis::cmd("SCAN");
        // Of the whole server, for no pattern makes that less work.
        scan.arg(cursor).arg("COUNT").arg(STEP);
        let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(&mut connection).await?;
        found.keys += u64::try_from(keys.len())?;
        for key in keys {
            let Some((user, generation)) = names.user_of(&key).filter(|(user, _)| is_asked(user)) else {
                continue;
            };
            if is_body(&mut connection, &key).await? {
                found.bodies.push((user, generation));
            } else {
                found.marks += 1;
            }
        }
        cursor = next;
        if cursor == 0 {
            return Ok(found);
        }
    }
}

/// Whether there is anything behind the version. What has gone meanwhile is nothing; what is of another form is something.
async fn is_body(connection: &mut MultiplexedConnection, key: &[u8]) -> redis::RedisResult<bool> {
    let value: Option<Vec<u8>> = redis::cmd("GET").arg(key).query_async(connection).await?;
    Ok(value.is_some_and(|value| !values::is_mark(&value)))
}
