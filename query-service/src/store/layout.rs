//! Which generation is live and how many partitions the log has: what a key in Redis is made of.

use arc_swap::ArcSwapOption;
use service_kit::database::answered;
use sqlx::PgPool;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::Notify;

/// How long the read model is left alone between two questions.
const PAUSE: Duration = Duration::from_millis(200);
/// For its answer.
const ANSWER: Duration = Duration::from_secs(2);

/// The live generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) id: i32,
    pub(super) partitions: u32,
}

/// Knows the live generation, once it has been learned. Cheap to clone; the last clone ends the asking.
#[derive(Clone)]
pub(super) struct Layout(Arc<Shared>);

#[derive(Default)]
struct Shared {
    live: ArcSwapOption<Generation>,
    doubted: Arc<Notify>,
}

impl Layout {
    /// Starts to learn it, for as long as it takes.
    pub(super) fn start(pool: PgPool) -> Self {
        let shared = Arc::new(Shared::default());
        tokio::spawn(follow(Arc::downgrade(&shared), shared.doubted.clone(), pool));
        Self(shared)
    }

    /// The live generation as last learned.
    pub(super) fn live(&self) -> Option<Generation> {
        self.0.live.load().as_deref().copied()
    }

    /// Another generation was met: it is asked again which one is live.
    pub(super) fn doubt(&self) {
        self.0.doubted.notify_one();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.doubted.notify_one();
    }
}

async fn follow(shared: Weak<Shared>, doubted: Arc<Notify>, pool: PgPool) {
    loop {
        let asked = answered(ANSWER, ask(&pool)).await;
        let Some(shared) = shared.upgrade() else { return };
        let is_known = matches!(asked, Ok(Some(_)));
        match asked {
            Ok(live) => shared.live.store(live.map(Arc::new)),
            Err(error) => tracing::warn!(cause = super::cause(&error), "the live generation is not known"),
        }
        drop(shared);
        // Not in place of a condition: how long to leave a database alone that was just asked.
        tokio::time::sleep(PAUSE).await;
        if is_known {
            doubted.notified().await;
        }
    }
}

async fn ask(pool: &PgPool) -> sqlx::Result<Option<Generation>> {
    let row: Option<(i32, i64)> = sqlx::query_as(
        "SELECT id, (SELECT count(*) FROM live.checkpoints WHERE topic = 'users') \
         FROM rollcall.generations WHERE state = 'live'",
    )
    .fetch_optional(pool)
    .await?;
    let generation = |(id, partitions)| {
        let partitions = u32::try_from(partitions).ok().filter(|count| *count > 0)?;
        Some(Generation { id, partitions })
    };
    Ok(row.and_then(generation))
}
