//! The limit on newly parked users. A faulty release or a wrong key store must not turn the log
//! into dead letters.

use read_model::{operate::dead_letter_counts::newly_parked, write::Effects};
use sqlx::PgPool;
use std::time::Duration;
use time::OffsetDateTime;

/// The most users that may be parked in ten minutes. A rebuild may park as many more than the live
/// generation has.
pub(crate) const LIMIT: i64 = 100;
/// The ten minutes. An older event whose key is missing does not count: a replay meets the events
/// of erased users long before their deletions.
const SPAN: Duration = Duration::from_secs(600);

/// Whether a batch parks users, so that the limit may not allow it.
pub(super) fn applies(effects: &Effects) -> bool {
    effects.newly_parked > 0 || !effects.keyless.is_empty()
}

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
    let parked = newly_parked(pool).await?;
    Ok(i64::try_from(more).is_ok_and(|more| parked + more <= LIMIT))
}
