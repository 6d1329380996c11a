//! Follows which generation is live and how many partitions its log has: the names of cache keys
//! depend on both.

use super::describe_redacted;
use arc_swap::ArcSwapOption;
use read_model::read::generation::{LiveGeneration, live};
use service_kit::database::answered;
use sqlx::PgPool;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::Notify;

/// The pause between two queries.
const QUERY_INTERVAL: Duration = Duration::from_millis(200);
/// How long a query may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// Knows the live generation once it was read. Cheap to clone; the task ends with the last clone.
#[derive(Clone)]
pub(super) struct LiveGenerationWatch(Arc<Shared>);

#[derive(Default)]
struct Shared {
    live: ArcSwapOption<LiveGeneration>,
    refresh: Arc<Notify>,
}

impl LiveGenerationWatch {
    /// Starts to query the live generation until it is known.
    pub(super) fn start(pool: PgPool) -> Self {
        let shared = Arc::new(Shared::default());
        tokio::spawn(follow(Arc::downgrade(&shared), shared.refresh.clone(), pool));
        Self(shared)
    }

    /// The live generation as last read.
    pub(super) fn live(&self) -> Option<LiveGeneration> {
        self.0.live.load().as_deref().copied()
    }

    /// Queries again: a lease names another generation.
    pub(super) fn refresh(&self) {
        self.0.refresh.notify_one();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.refresh.notify_one();
    }
}

async fn follow(shared: Weak<Shared>, refresh: Arc<Notify>, pool: PgPool) {
    loop {
        let answer = answered(QUERY_TIMEOUT, live(&pool)).await;
        let Some(shared) = shared.upgrade() else { return };
        let is_known = matches!(answer, Ok(Some(_)));
        match answer {
            Ok(live) => shared.live.store(live.map(Arc::new)),
            Err(error) => {
                tracing::warn!(cause = describe_redacted(&error), "the live generation can't be read")
            }
        }
        drop(shared);
        // A pause for a database that was just queried, not a substitute for a condition.
        tokio::time::sleep(QUERY_INTERVAL).await;
        if is_known {
            refresh.notified().await;
        }
    }
}
