//! Requests to repair users of the owned partitions. The log is read in the background; only its last
//! part is read, and the result committed, between two batches.

use super::Worker;
use crate::{
    pipeline::{DATABASE_TIMEOUT, Discarded},
    repair::{LogReader, Offsets, RepairProgress, Repairer, UserFold},
    stop::Interrupt,
};
use events_schema::Topic;
use futures_util::FutureExt as _;
use read_model::operate::repairs::{self, RepairRequest};
use service_kit::{database::answered, errors, settings::Settings};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};

/// The most offsets that are read between two batches.
const MAX_LAST_PART: u64 = 2_000;
/// How long reading them may take.
const LAST_PART_TIMEOUT: Duration = Duration::from_secs(2);

/// The repair that is being prepared.
pub(super) struct Repairs {
    settings: Settings,
    running: Option<Running>,
}

/// A task that reads the log. Dropping it ends the task.
struct Running {
    request: RepairRequest,
    reader: Arc<LogReader>,
    progress: watch::Receiver<RepairProgress>,
    reading: JoinSet<anyhow::Result<UserFold>>,
}

impl Repairs {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, running: None }
    }

    /// Gives up what is being prepared.
    pub(super) fn stop(&mut self) {
        self.running = None;
    }
}

impl Running {
    fn start(request: RepairRequest, reader: Arc<LogReader>, fold: Option<UserFold>, to: Offsets) -> Self {
        let (sender, progress) = watch::channel(RepairProgress::default());
        let (mut reading, user, log) = (JoinSet::new(), request.user.clone(), reader.clone());
        reading.spawn(async move {
            let mut note = |progress| {
                let _ = sender.send_replace(progress);
            };
            log.read(fold, &user, &to, &mut note).await
        });
        Self { request, reader, progress, reading }
    }
}

impl Worker {
    /// Goes on with the repair that is being prepared, or starts with the next one.
    pub(super) async fn answer_repairs(&mut self) -> Result<(), Interrupt> {
        let Some(mut running) = self.repairs.running.take() else { return self.start_repair().await };
        let read = match running.reading.try_join_next() {
            None => return self.note_progress(running).await,
            Some(read) => read.map_err(anyhow::Error::from).flatten(),
        };
        match read {
            Ok(fold) => Box::pin(self.repair(running, fold)).await,
            Err(error) => {
                warn(&error);
                Ok(())
            }
        }
    }

    async fn start_repair(&mut self) -> Result<(), Interrupt> {
        let pipeline = &self.pipeline;
        let open = repairs::open(&pipeline.store.pool, pipeline.owned.keys());
        let open = pipeline.stop.run_until_stopped(answered(DATABASE_TIMEOUT, open)).await?;
        let Some(request) = open.unwrap_or_default().into_iter().next() else { return Ok(()) };
        let Some(to) = self.owned_offsets(request.partition) else { return Ok(()) };
        let reader = LogReader {
            settings: self.repairs.settings.clone(),
            store: pipeline.store.clone(),
            partition_count: pipeline.partition_count,
        };
        self.repairs.running = Some(Running::start(request, Arc::new(reader), None, to));
        Ok(())
    }

    /// The owned offsets of a partition of both topics.
    fn owned_offsets(&self, partition: i32) -> Option<Offsets> {
        let offset = |topic| Some(((topic, partition), *self.pipeline.owned.get(&(topic, partition))?));
        Topic::ALL.into_iter().map(offset).collect()
    }

    async fn note_progress(&mut self, running: Running) -> Result<(), Interrupt> {
        let pipeline = &self.pipeline;
        let (id, progress) = (running.request.id, *running.progress.borrow());
        let note = repairs::note_progress(&pipeline.store.pool, id, progress);
        // Only the operator's bar depends on it.
        let _ = pipeline.stop.run_until_stopped(answered(DATABASE_TIMEOUT, note)).await?;
        self.repairs.running = Some(running);
        Ok(())
    }

    /// The log is read up to where this process was when it began to read.
    async fn repair(&mut self, running: Running, fold: UserFold) -> Result<(), Interrupt> {
        let Running { request, reader, .. } = running;
        let to = self.owned_offsets(request.partition);
        let is_same = reader.store.generation == self.pipeline.store.generation;
        // Otherwise the next owner begins again.
        let Some(to) = to.filter(|_| is_same) else { return Ok(()) };
        if fold.behind(&to) > MAX_LAST_PART {
            self.repairs.running = Some(Running::start(request, reader, Some(fold), to));
            return Ok(());
        }
        let last = self.read_last_part(&reader, fold, &request, &to).boxed_local();
        match self.pipeline.stop.run_until_stopped(last).await? {
            Ok(Some(fold)) => self.carry_out(&request, fold).await,
            Ok(None) => Ok(()),
            Err(error) => {
                warn(&error);
                Ok(())
            }
        }
    }

    /// `None`: an operator has discarded a record meanwhile, so everything is to be read again.
    async fn read_last_part(
        &self,
        reader: &LogReader,
        fold: UserFold,
        request: &RepairRequest,
        to: &Offsets,
    ) -> anyhow::Result<Option<UserFold>> {
        let mut unseen = |_| {};
        let read = reader.read(Some(fold), &request.user, to, &mut unseen);
        let fold = tokio::time::timeout(LAST_PART_TIMEOUT, read).await??;
        let from_the_start: BTreeMap<_, _> = to.keys().map(|partition| (*partition, 0)).collect();
        let (pool, generation) = (&self.pipeline.store.pool, self.pipeline.store.generation);
        let discarded =
            answered(DATABASE_TIMEOUT, Discarded::load(pool, generation, &from_the_start)).await?;
        Ok((discarded.0 == fold.discarded.0).then_some(fold))
    }

    async fn carry_out(&mut self, request: &RepairRequest, fold: UserFold) -> Result<(), Interrupt> {
        let pipeline = &mut self.pipeline;
        // The rows of the user change without a move of the checkpoint.
        pipeline.remembered.clear();
        let repairer = Repairer {
            store: &pipeline.store,
            epochs: &pipeline.epochs,
            cache: &mut pipeline.cache,
            stop: &pipeline.stop,
        };
        let repaired = repairer.repair(request, fold).await?;
        let is_done = repaired.unwrap_or_else(|error| {
            warn(&error);
            false
        });
        if is_done {
            // What was replaced may be personal data.
            self.pipeline.vacuum.mark_due();
        } else {
            // It may have been committed all the same. The checkpoints tell, and with them the revision
            // that the cache must have.
            self.pipeline.revoke_partitions();
            self.pipeline.consumer.reassign();
        }
        Ok(())
    }
}

fn warn(error: &anyhow::Error) {
    tracing::warn!(error = errors::describe_error(error.as_ref()), "repairing a user failed, retrying");
}
