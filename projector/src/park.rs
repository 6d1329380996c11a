//! The limit on parking: a bad deploy must not empty the log into dead letters.

use sqlx::PgPool;

/// Users that may be parked in ten minutes, at most.
const LIMIT: i64 = 100;

/// Counted in the database, so that neither a restart nor another instance begins anew; only an operator's resume does. A generation that was
/// built parks again what was parked before, which is no news.
const LATELY: &str = "\
SELECT count(*) FROM ( \
    SELECT FROM live.dead_letters WHERE topic = 'users' \
    GROUP BY tenant_id, user_id, CASE WHEN user_id IS NULL THEN id END \
    HAVING min(parked_at) > greatest(now() - interval '10 minutes', (SELECT at FROM rollcall.resumed), \
        (SELECT promoted_at FROM rollcall.generations WHERE state = 'live'))) parked";

/// Whether so many more users may be parked.
///
/// # Errors
/// Postgres can't be asked.
pub(crate) async fn may_be_parked(pool: &PgPool, more: usize) -> sqlx::Result<bool> {
    if more == 0 {
        return Ok(true);
    }
    let lately: i64 = sqlx::query_scalar(LATELY).fetch_one(pool).await?;
    Ok(i64::try_from(more).is_ok_and(|more| lately + more <= LIMIT))
}
