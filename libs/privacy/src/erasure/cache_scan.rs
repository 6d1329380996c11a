//! What Redis holds of users: bodies, and marks, which are a version without a body.

use crate::progress::{LookProgress, Step};
use events_schema::UserKey;
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
    let client = redis_client(settings)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let total: u64 = redis::cmd("DBSIZE").query_async(&mut connection).await?;
    let namespace = format!("rollcall:{}{{", settings.topic_prefix);
    let (mut found, mut cursor) = (Cached::default(), 0);
    loop {
        progress(LookProgress { step: Step::Cache, done: found.keys, total });
        let mut scan = redis::cmd("SCAN");
        // Of the whole server, for no pattern makes that less work.
        scan.arg(cursor).arg("COUNT").arg(STEP);
        let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(&mut connection).await?;
        found.keys += u64::try_from(keys.len())?;
        for key in keys {
            let Some((user, generation)) = whose(&namespace, &key).filter(|(user, _)| is_asked(user)) else {
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

/// The error does not repeat the URL, which may hold a password.
fn redis_client(settings: &Settings) -> anyhow::Result<redis::Client> {
    redis::Client::open(settings.redis_url()?)
        .map_err(|_| anyhow::anyhow!("REDIS_URL: must be a redis:// or rediss:// URL"))
}

/// Whose key it is and of which generation: `<namespace><p>}:<generation>:<tenant>/<uuid>`.
fn whose(namespace: &str, key: &[u8]) -> Option<(UserKey, String)> {
    let (partition, rest) = std::str::from_utf8(key).ok()?.strip_prefix(namespace)?.split_once("}:")?;
    let (generation, user) = rest.split_once(':')?;
    partition.parse::<u32>().ok()?;
    Some((user.parse().ok()?, generation.to_owned()))
}

/// Whether there is anything behind the version. What has gone meanwhile is nothing; what is of another form is something.
async fn is_body(connection: &mut MultiplexedConnection, key: &[u8]) -> redis::RedisResult<bool> {
    let value: Option<Vec<u8>> = redis::cmd("GET").arg(key).query_async(connection).await?;
    let is_mark = |value: &[u8]| value.strip_suffix(b"\n").is_some_and(|v| v.iter().all(u8::is_ascii_digit));
    Ok(value.is_some_and(|value| !is_mark(&value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_whose_it_is() {
        let user = "a.b/0c3fad74-a8df-4a2d-8e75-f2d356b413ba";
        let whose =
            |key: &str| whose("rollcall:dev.{", key.as_bytes()).map(|(user, g)| (user.to_string(), g));
        assert_eq!(whose(&format!("rollcall:dev.{{11}}:3:{user}")), Some((user.to_owned(), "3".to_owned())));
        for other in ["rollcall:dev.{0}:next", "rollcall:dev.{0}:lease", "rollcall:other.{0}:3:a/b", "x"] {
            assert_eq!(whose(other), None, "{other}");
        }
    }
}
