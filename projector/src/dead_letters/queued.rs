//! Dead letters by the queue that they are in. A request about one of them is about its whole
//! queue.

use super::{LetterId, UserFilter};
use events_schema::{ReasonCode, Topic};
use read_model::operate::dead_letters::{self, QueuedRow};
use sqlx::PgPool;
use std::collections::BTreeSet;
use uuid::Uuid;

/// A dead letter that represents its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Queued {
    pub(super) letter: LetterId,
    /// The user in whose queue the letter is. `None`: it waits for nobody, and nobody waits for it.
    owner: Option<(String, Uuid)>,
}

impl Queued {
    /// Whether both letters are in one queue.
    pub(super) fn shares_queue(&self, other: &Self) -> bool {
        self.letter == other.letter || (self.owner.is_some() && self.owner == other.owner)
    }

    /// The letter with this id, if there is one.
    pub(super) async fn find(pool: &PgPool, letter: &LetterId) -> sqlx::Result<Option<Self>> {
        Ok(dead_letters::at(pool, letter.place()).await?.and_then(Self::from_row))
    }

    /// The letters with a reason.
    pub(super) async fn with_reason(pool: &PgPool, reason: ReasonCode) -> sqlx::Result<Vec<Self>> {
        let rows = dead_letters::with_reason(pool, reason).await?;
        Ok(rows.into_iter().filter_map(Self::from_row).collect())
    }

    /// One letter of each queue of a user: the queue in the user's own partition, and each record
    /// that lies elsewhere.
    pub(super) async fn of_user(pool: &PgPool, filter: &UserFilter) -> anyhow::Result<Vec<Self>> {
        let rows = dead_letters::of_user(pool, filter.tenant.as_ref(), filter.user).await?;
        let tenants: BTreeSet<_> = rows.iter().map(|row| &row.tenant).collect();
        anyhow::ensure!(
            tenants.len() < 2,
            "several tenants have a user with this id and dead letters: choose one with --tenant"
        );
        let mut queues: Vec<Self> = Vec::new();
        for queued in rows.into_iter().filter_map(Self::from_row) {
            if !queues.iter().any(|known| known.shares_queue(&queued)) {
                queues.push(queued);
            }
        }
        Ok(queues)
    }

    fn from_row(row: QueuedRow) -> Option<Self> {
        let letter =
            LetterId { topic: Topic::named(&row.topic)?, partition: row.partition, offset: row.offset };
        Some(Self { letter, owner: row.tenant.zip(row.user).filter(|_| row.is_at_home) })
    }
}
