//! Vacuums soon after an erasure, so that PostgreSQL keeps no dead rows and planner samples of erased
//! users.

use key_store::Keys;
use read_model::operate::vacuum::vacuum as vacuum_read_model;
use service_kit::vacuum::connect;
use sqlx::{Connection as _, PgPool};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// The shortest pause between two vacuums. Each reads the pages that changed since the last one, and
/// the indexes.
const PAUSE: Duration = Duration::from_secs(60);
/// The pause is also at least this many times as long as the last vacuum took.
const PAUSE_FACTOR: u32 = 10;
/// The pause after a vacuum that could not remove everything. The next one does not read again what
/// has not changed.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// Remembers whether a vacuum is due.
#[derive(Default)]
pub struct Vacuum {
    is_due: Arc<AtomicBool>,
    /// When the next vacuum may start. Locked while one runs.
    next: Arc<Mutex<Option<Instant>>>,
}

impl Vacuum {
    /// Notes that data of an erased user was deleted.
    pub fn mark_due(&self) {
        self.is_due.store(true, Ordering::Relaxed);
    }

    /// Starts a vacuum in the background, if one is due and the pause is over.
    pub fn start_if_due(&self, pool: &PgPool, keys: &Keys) {
        let Ok(mut next) = self.next.clone().try_lock_owned() else { return };
        if next.is_some_and(|next| Instant::now() < next) || !self.is_due.swap(false, Ordering::Relaxed) {
            return;
        }
        let (pool, keys, is_due) = (pool.clone(), keys.clone(), self.is_due.clone());
        tokio::spawn(async move {
            let started = Instant::now();
            let is_complete = vacuum(&pool, &keys).await.unwrap_or_else(|error| {
                tracing::warn!(
                    error = service_kit::errors::describe_error(error.as_ref()),
                    "deleted rows are not vacuumed yet"
                );
                false
            });
            if !is_complete {
                is_due.store(true, Ordering::Relaxed);
            }
            let pause = if is_complete { PAUSE.max(started.elapsed() * PAUSE_FACTOR) } else { RETRY_PAUSE };
            *next = Some(Instant::now() + pause);
        });
    }
}

/// Vacuums the read model and the key store. Returns whether nothing is left that anybody could read.
async fn vacuum(pool: &PgPool, keys: &Keys) -> anyhow::Result<bool> {
    let mut connection = connect(pool).await?;
    let are_rows_gone = vacuum_read_model(&mut connection).await?;
    connection.close().await?;
    let are_keys_gone = keys.vacuum().await?;
    Ok(are_rows_gone && are_keys_gone)
}
