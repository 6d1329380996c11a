//! Until what went in is visible: as long as it takes, while something moves.

use super::{Kind, feed::Reached};
use anyhow::bail;
use sqlx::PgPool;
use std::time::{Duration, Instant};

/// Between two questions.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// After so long without any movement it is given up.
const STALLED: Duration = Duration::from_secs(120);

/// The first offset of each partition that is not visible yet.
pub(super) async fn positions(pool: &PgPool, kind: Kind) -> sqlx::Result<Vec<(i32, i64)>> {
    let topic = match kind {
        Kind::Users => "users",
        Kind::Credentials => "credentials",
    };
    let query = sqlx::query_as("SELECT partition, next_offset FROM live.checkpoints WHERE topic = $1");
    query.bind(topic).fetch_all(pool).await
}

/// Waits until every offset is visible; tells now and then how many are left.
pub(super) async fn until_visible(
    pool: &PgPool,
    kind: Kind,
    reached: &Reached,
    mut on_left: impl FnMut(u64),
) -> anyhow::Result<()> {
    let (mut least, mut moved) = (u64::MAX, Instant::now());
    loop {
        match positions(pool, kind).await {
            Ok(positions) => {
                let left = left(&positions, reached);
                on_left(left);
                if left == 0 {
                    return Ok(());
                }
                if left < least {
                    (least, moved) = (left, Instant::now());
                }
            }
            Err(error) => tracing::warn!(%error, "the read model can't be asked how far it is"),
        }
        if moved.elapsed() > STALLED {
            bail!(
                "everything is in the log, but the projector has not moved for {} s: is it running? It will catch up by itself",
                STALLED.as_secs()
            );
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn left(positions: &[(i32, i64)], reached: &Reached) -> u64 {
    let of = |partition: u32, offset: i64| {
        let next = positions.iter().find(|(found, _)| u32::try_from(*found) == Ok(partition));
        u64::try_from(offset + 1 - next.map_or(0, |(_, next)| *next)).unwrap_or(0)
    };
    reached.iter().map(|(partition, offset)| of(*partition, *offset)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_not_visible_yet() {
        let reached = Reached::from([(0, 9), (3, 4)]);
        assert_eq!(left(&[], &reached), 15);
        assert_eq!(left(&[(0, 9), (1, 0), (3, 5)], &reached), 1);
        assert_eq!(left(&[(0, 10), (3, 77)], &reached), 0);
        assert_eq!(left(&[], &Reached::new()), 0);
    }
}
