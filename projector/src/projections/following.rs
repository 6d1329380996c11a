//! Generations of projections follow the users, in rounds. Each projection has a thread of its own, so
//! that none delays the users or another projection.

use super::{
    definition_of,
    failed::Failed,
    folder::{Folder, RoundEnd},
};
use crate::{
    metrics, own_thread, panics,
    stop::{Interrupt, StopSignal},
};
use key_store::Keys;
use projections::{Registered, registered};
use read_model::{
    locks::{FoldLock, lock_schema},
    projections::{
        self as store, GenerationId, create, failures,
        generations::{self, Following},
    },
    write::sql_error,
};
use service_kit::settings::Settings;
use sqlx::PgPool;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The pause between two rounds, unless much is left.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause after the first failure of a generation. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause after a failure.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// PostgreSQL's codes for a schema or a table that is not there yet: the migration comes first.
const NOT_MIGRATED: [&str; 2] = ["42P01", "3F000"];

/// Starts the threads. They end when a stop is requested.
pub(crate) fn start(settings: &Settings, keys: &Keys, stop: &StopSignal) -> anyhow::Result<()> {
    for projection in registered() {
        let mut follower =
            Follower { settings: settings.clone(), keys: keys.clone(), projection, retries: BTreeMap::new() };
        let stop = stop.clone();
        own_thread::spawn(format!("project-{}", projection.name), async move || {
            // Stopping is the only way to end it.
            let _ = panics::repeat(&stop, async || follower.run(&stop).await).await;
        })?;
    }
    Ok(())
}

/// When a generation that failed is tried again.
struct Retry {
    at: Instant,
    pause: Duration,
}

/// Follows with all generations of a projection.
struct Follower {
    settings: Settings,
    keys: Keys,
    projection: &'static Registered,
    /// By generation. 0: creating the first one.
    retries: BTreeMap<i32, Retry>,
}

impl Follower {
    async fn run(&mut self, stop: &StopSignal) -> Result<(), Interrupt> {
        let pool =
            stop.retry("opening the pool of a projection", async || store::pool(&self.settings)).await?;
        // Before the first migration there are none.
        let _ = failures::clear_dropped(&pool).await;
        loop {
            let started = Instant::now();
            let pause = match stop.run_until_stopped(self.turn(&pool)).await? {
                Ok(true) => PAUSE,
                // It rests as long as it works, so that others get their share of the processor.
                Ok(false) => started.elapsed().min(PAUSE),
                Err(error) => {
                    if !is_not_migrated(&error) {
                        tracing::warn!(
                            projection = self.projection.name,
                            error = Failed::of(&error).to_string(),
                            "a projection can't follow, retrying"
                        );
                    }
                    FIRST_PAUSE
                }
            };
            stop.run_until_stopped(tokio::time::sleep(pause)).await?;
        }
    }

    /// A round of each generation that is behind. Returns whether all of them may rest.
    async fn turn(&mut self, pool: &PgPool) -> anyhow::Result<bool> {
        let Registered { name, fold_version, .. } = *self.projection;
        if !generations::any(pool, name).await? {
            self.attempt(pool, 0).await?;
        }
        let (mut are_level, mut lag) = (true, 0);
        for following in generations::following(pool, name, fold_version).await? {
            lag = lag.max(following.lag);
            if !following.is_paused && !is_level(following) {
                are_level &= self.attempt(pool, following.generation).await?;
            }
        }
        metrics::PROJECTION_LAG.with_label_values(&[name]).set(lag);
        Ok(are_level)
    }

    /// Folds a round, unless a failure was just now. Returns whether no more than that is left.
    async fn attempt(&mut self, pool: &PgPool, generation: i32) -> anyhow::Result<bool> {
        if self.retries.get(&generation).is_some_and(|retry| Instant::now() < retry.at) {
            return Ok(true);
        }
        let id = GenerationId { projection: self.projection.name, generation };
        let done = if generation == 0 { self.create_first(pool).await } else { self.round(pool, id).await };
        match done {
            Ok(is_level) => {
                if self.retries.remove(&generation).is_some() || is_level {
                    failures::clear(pool, id).await?;
                }
                Ok(is_level)
            }
            Err(error) if is_not_migrated(&error) => Err(error),
            Err(error) => {
                self.note_failure(pool, id, &Failed::of(&error)).await?;
                Ok(true)
            }
        }
    }

    async fn round(&self, pool: &PgPool, id: GenerationId) -> anyhow::Result<bool> {
        // Otherwise another process folds it.
        let Some(lock) = FoldLock::take(pool, id).await? else { return Ok(true) };
        let mut folder = Folder::new(&self.settings, pool, &self.keys, self.projection, id.generation);
        folder.heeds_pause = true;
        let (mut end, mut is_last) = (RoundEnd::Smaller, false);
        while end == RoundEnd::Smaller {
            let round = folder.next(None).await?;
            (end, is_last) = (folder.fold(&round).await?, round.is_last());
        }
        lock.release().await?;
        // What came meanwhile waits for the next round: each one costs a connection to PostgreSQL
        // and one to Kafka.
        Ok(end != RoundEnd::More || is_last)
    }

    async fn create_first(&self, pool: &PgPool) -> anyhow::Result<bool> {
        let mut transaction = pool.begin().await?;
        lock_schema(&mut transaction).await?;
        let created = create::create_first(&mut transaction, &definition_of(self.projection)).await?;
        transaction.commit().await?;
        if let Some(generation) = created {
            tracing::info!(
                projection = self.projection.name,
                generation,
                "the projection's first generation is created"
            );
        }
        Ok(true)
    }

    async fn note_failure(&mut self, pool: &PgPool, id: GenerationId, failed: &Failed) -> sqlx::Result<()> {
        let before = self.retries.get(&id.generation).map(|retry| (retry.pause * 2).min(MAX_PAUSE));
        let pause = before.unwrap_or(FIRST_PAUSE);
        self.retries.insert(id.generation, Retry { at: Instant::now() + pause, pause });
        tracing::error!(
            projection = id.projection,
            generation = id.generation,
            error = failed.to_string(),
            retry_in = pause.as_secs(),
            "a projection can't follow, and nothing else is affected"
        );
        failures::set(pool, id, &failed.reason, failed.record).await
    }
}

fn is_level(following: Following) -> bool {
    following.lag == 0 && !following.has_decided && !following.is_failing
}

fn is_not_migrated(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<sqlx::Error>().map(sql_error::code);
    code.is_some_and(|code| NOT_MIGRATED.contains(&code.as_str()))
}
