//! Cached bodies of generations that are no longer live. Nobody reads them, and they hold personal data.

use service_kit::settings::Settings;

/// How many keys Redis scans in one step.
const STEP: u32 = 1_000;

/// Removes the bodies of every generation but the live one from Redis. If another generation becomes live
/// meanwhile, its bodies may be removed too: a reader that misses a body asks PostgreSQL.
///
/// # Errors
/// Redis can't be reached, or fails on the way.
pub async fn unlink(settings: &Settings, live: i32) -> anyhow::Result<()> {
    let client = redis::Client::open(settings.redis_url()?)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    // A topic prefix holds no character that has a meaning in a pattern.
    let bodies = format!("rollcall:{}{{*}}:*:*", settings.topic_prefix);
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&bodies).arg("COUNT").arg(STEP);
        let (next, mut keys): (u64, Vec<Vec<u8>>) = scan.query_async(&mut connection).await?;
        keys.retain(|key| generation(key).is_some_and(|generation| generation != live));
        if !keys.is_empty() {
            redis::cmd("UNLINK").arg(keys).query_async::<()>(&mut connection).await?;
        }
        cursor = next;
        if cursor == 0 {
            return Ok(());
        }
    }
}

/// The generation of a body: `<namespace>{<partition>}:<generation>:<user>`.
fn generation(key: &[u8]) -> Option<i32> {
    let (_, rest) = std::str::from_utf8(key).ok()?.split_once("}:")?;
    rest.split_once(':')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_says_its_generation_and_nothing_else_does() {
        assert_eq!(generation(b"rollcall:dev.{3}:17:acme/0c3fad74"), Some(17));
        for other in [&b"rollcall:{3}:lease"[..], b"rollcall:{3}:next", b"rollcall:{3}:x:y", b"\xff"] {
            assert_eq!(generation(other), None);
        }
    }
}
