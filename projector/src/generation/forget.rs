//! The cached bodies of generations that are not live any more: nobody reads them, and they hold what people said of themselves.

use service_kit::settings::Settings;

/// Keys that are looked at in one step.
const STEP: u32 = 1_000;

/// Removes the bodies of every generation but the live one from Redis. Where another one becomes live meanwhile, its bodies may go too: whoever
/// misses one asks Postgres.
///
/// # Errors
/// Redis can't be reached, or fails on the way.
pub(crate) async fn forget_all_but(settings: &Settings, live: i32) -> anyhow::Result<()> {
    let client = redis::Client::open(settings.redis_url()?)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    // A topic prefix has no character that means something in a pattern.
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

/// Of which generation a body is: `<namespace>{<partition>}:<generation>:<user>`.
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
