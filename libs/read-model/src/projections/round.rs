//! What a round folds: read from one snapshot, so that records, outcomes and ends fit together.

use super::GenerationId;
use crate::{RejectionReason, generation::statement};
use sqlx::{PgConnection, PgPool};
use std::{collections::BTreeMap, ops::Range};

/// A record of `users.events`: its partition and its offset.
pub type At = (i32, i64);

/// What a round folds.
#[derive(Debug, Clone, Default)]
pub struct Round {
    /// Whether the generation exists and is folded from the log of the live generation of the users.
    pub is_of_live_log: bool,
    /// The offsets to fold of each partition. Empty ranges too.
    pub ranges: BTreeMap<i32, Range<i64>>,
    /// The ends of the live generation of the users.
    pub ends: BTreeMap<i32, i64>,
    /// The records in the ranges that have no effect.
    pub rejected: BTreeMap<At, RejectionReason>,
    /// Records that waited for an operator, and were accepted meanwhile.
    pub released: Vec<At>,
    /// Records that waited for an operator, and will never have an effect.
    pub settled: Vec<At>,
}

/// The most released records of a round.
const MAX_RELEASED: i64 = 500;

const CHECKPOINTS: &str = "\
SELECT live.id, c.partition, c.next_offset, l.next_offset FROM rollcall.projection_generations g \
JOIN rollcall.generations live ON live.state = 'live' AND live.log_epoch = g.log_epoch \
JOIN rollcall.projection_checkpoints c ON c.projection = g.projection AND c.generation = g.generation \
JOIN rollcall.checkpoints l ON l.generation = live.id AND l.topic = 'users' AND l.partition = c.partition \
WHERE g.projection = $1 AND g.generation = $2";

const REJECTED: &str = "\
SELECT r.partition, r.log_offset, r.reason FROM unnest($1::int[], $2::bigint[], $3::bigint[]) s(partition, first, next) \
CROSS JOIN LATERAL (SELECT * FROM {g}.rejections r \
    WHERE r.partition = s.partition AND r.log_offset >= s.first AND r.log_offset < s.next) r";

/// Those that wait and are not parked any more, with the reason why they have no effect.
const DECIDED: &str = "\
SELECT w.partition, w.log_offset, r.reason FROM rollcall.projection_waiting w \
LEFT JOIN {g}.rejections r ON r.partition = w.partition AND r.log_offset = w.log_offset \
WHERE w.projection = $1 AND w.generation = $2 AND r.reason IS DISTINCT FROM 'parked' \
ORDER BY w.partition, w.log_offset LIMIT $3";

impl Round {
    /// Reads what to fold next: at most `size` offsets of each partition, and nothing that the live
    /// generation of the users has not folded.
    ///
    /// # Errors
    /// A query failed.
    pub async fn read(pool: &PgPool, id: GenerationId, size: i64) -> sqlx::Result<Self> {
        let mut snapshot = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let checkpoints: Vec<(i32, i32, i64, i64)> = sqlx::query_as(CHECKPOINTS)
            .bind(id.projection)
            .bind(id.generation)
            .fetch_all(&mut *snapshot)
            .await?;
        let live = checkpoints.first().map(|(live, ..)| *live);
        let mut round = Self { is_of_live_log: live.is_some(), ..Self::default() };
        for (_, partition, next, end) in checkpoints {
            round.ranges.insert(partition, next..end.min(next + size).max(next));
            round.ends.insert(partition, end);
        }
        if let Some(live) = live {
            round.read_outcomes(&mut snapshot, id, live).await?;
        }
        snapshot.rollback().await?;
        Ok(round)
    }

    /// A view is looked up outside of the snapshot, so a promotion could change it in between. The
    /// schema of the live generation of the snapshot can't change.
    async fn read_outcomes(
        &mut self,
        snapshot: &mut PgConnection,
        id: GenerationId,
        live: i32,
    ) -> sqlx::Result<()> {
        let ranges = self.ranges.iter().filter(|(_, range)| !range.is_empty());
        let ranges = ranges.map(|(partition, range)| (*partition, (range.start, range.end)));
        let (partitions, (first, next)): (Vec<i32>, (Vec<i64>, Vec<i64>)) = ranges.unzip();
        let rejected: Vec<(i32, i64, String)> = sqlx::query_as(statement(REJECTED, live))
            .bind(partitions)
            .bind(first)
            .bind(next)
            .fetch_all(&mut *snapshot)
            .await?;
        let reason = |(partition, offset, reason): (_, _, String)| {
            ((partition, offset), RejectionReason::of_stored(&reason))
        };
        self.rejected = rejected.into_iter().map(reason).collect();
        let decided: Vec<(i32, i64, Option<String>)> = sqlx::query_as(statement(DECIDED, live))
            .bind(id.projection)
            .bind(id.generation)
            .bind(MAX_RELEASED)
            .fetch_all(snapshot)
            .await?;
        for (partition, offset, reason) in decided {
            let of = if reason.is_none() { &mut self.released } else { &mut self.settled };
            of.push((partition, offset));
        }
        Ok(())
    }

    /// Folds no further than to these offsets.
    pub fn limit(&mut self, to: &BTreeMap<i32, i64>) {
        for (partition, end) in &mut self.ends {
            *end = to.get(partition).map_or(*end, |to| (*end).min(*to));
        }
        for (partition, range) in &mut self.ranges {
            range.end = to.get(partition).map_or(range.end, |to| range.end.min(*to)).max(range.start);
        }
    }

    /// Whether nothing is to be folded.
    #[must_use]
    pub fn is_level(&self) -> bool {
        self.behind() == 0 && self.released.is_empty() && self.settled.is_empty()
    }

    /// Whether nothing is left once this round is folded, except for what comes meanwhile.
    #[must_use]
    pub fn is_last(&self) -> bool {
        let is_whole = |(partition, end): (&i32, &i64)| {
            self.ranges.get(partition).is_some_and(|range| range.end >= *end)
        };
        self.ends.iter().all(is_whole) && self.released.is_empty() && self.settled.is_empty()
    }

    /// The number of offsets up to the live generation of the users.
    #[must_use]
    pub fn behind(&self) -> i64 {
        let behind = |(partition, range): (&i32, &Range<i64>)| {
            self.ends.get(partition).map_or(0, |end| (end - range.start).max(0))
        };
        self.ranges.iter().map(behind).sum()
    }

    /// The folded offsets.
    #[must_use]
    pub fn folded(&self) -> i64 {
        self.ranges.values().map(|range| range.start).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_level_once_nothing_is_left() {
        let mut round = Round {
            ranges: [(0, 5..7), (1, 3..3)].into(),
            ends: [(0, 9), (1, 3)].into(),
            ..Round::default()
        };
        assert_eq!((round.behind(), round.folded(), round.is_level()), (4, 8, false));
        let mut limited = round.clone();
        limited.limit(&[(0, 5), (1, 9)].into());
        assert_eq!((limited.is_level(), &limited.ranges[&0]), (true, &(5..5)));
        assert!(!round.is_last());
        round.ranges.insert(0, 5..9);
        assert!(round.is_last() && !round.is_level());
        round.ranges.insert(0, 9..9);
        assert!(round.is_last() && round.is_level());
        round.released.push((0, 2));
        assert!(!round.is_last() && !round.is_level());
    }
}
