//! The cached bodies of a generation that is not live any more: nobody reads them, and they hold what people said of themselves.

use service_kit::settings::Settings;

/// Keys that are looked at in one step.
const STEP: u32 = 1_000;

/// Removes the generation's bodies from Redis.
///
/// # Errors
/// Redis can't be reached, or fails on the way.
pub(super) async fn forget(settings: &Settings, generation: i32) -> anyhow::Result<()> {
    let client = redis::Client::open(settings.redis_url()?)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    // A topic prefix has no character that means something in a pattern.
    let bodies = format!("rollcall:{}{{*}}:{generation}:*", settings.topic_prefix);
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&bodies).arg("COUNT").arg(STEP);
        let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(&mut connection).await?;
        if !keys.is_empty() {
            redis::cmd("UNLINK").arg(keys).query_async::<()>(&mut connection).await?;
        }
        cursor = next;
        if cursor == 0 {
            return Ok(());
        }
    }
}
