//! The limit on newly parked users. A faulty release or a wrong key store must not turn the log into
//! dead letters.

use events_schema::ReasonCode;
use read_model::write::Effects;
use sqlx::PgPool;
use std::time::Duration;
use time::OffsetDateTime;

/// The most users that may be parked in ten minutes. A rebuild may park as many more than the live
/// generation has.
pub(crate) const LIMIT: i64 = 100;
/// The ten minutes. An older event whose key is missing does not count: a replay meets the events of
/// erased users long before their deletions.
const SPAN: Duration = Duration::from_secs(600);

/// Counted in the database, so that neither a restart nor another instance resets the count; only an
/// operator's resume does. A promoted generation parks again what was parked before, which does not
/// count either.
const COUNT_NEWLY_PARKED: &str = "\
SELECT count(*) FROM ( \
    SELECT FROM live.dead_letters WHERE topic = 'users' \
    GROUP BY tenant_id, user_id, CASE WHEN user_id IS NULL OR NOT at_home THEN id END \
    HAVING NOT ((array_agg(reason ORDER BY log_offset))[1] = $1 AND min(record_time) < now() - interval '10 minutes') \
        AND min(parked_at) > greatest(now() - interval '10 minutes', (SELECT at FROM rollcall.resumed), \
        (SELECT promoted_at FROM rollcall.generations WHERE state = 'live'))) parked";

/// Whether the limit allows a batch to park the users that it would park.
///
/// # Errors
/// PostgreSQL can't be asked.
pub(crate) async fn allows(pool: &PgPool, effects: &Effects) -> sqlx::Result<bool> {
    let recent = OffsetDateTime::now_utc() - SPAN;
    let keyless =
        effects.keyless.values().filter(|time| time.is_none_or(|time| time.get() >= recent)).count();
    let more = effects.newly_parked + keyless;
    if more == 0 {
        return Ok(true);
    }
    let parked: i64 =
        sqlx::query_scalar(COUNT_NEWLY_PARKED).bind(ReasonCode::KeyMissing.as_str()).fetch_one(pool).await?;
    Ok(i64::try_from(more).is_ok_and(|more| parked + more <= LIMIT))
}
