//! The log that a generation is built from: the one that the live generation is of, or another that took its place.

use super::{builder::Vector, live};
use crate::{
    ask,
    log_identity::{self, Ids, LogIdentity},
    record::{Partition, Topic},
};
use anyhow::Context as _;
use service_kit::settings::Settings;
use sqlx::PgPool;

pub(super) struct Source<'s> {
    settings: &'s Settings,
    identity: LogIdentity,
    /// What it is known by.
    pub(super) ids: Ids,
    /// All of it.
    pub(super) partitions: Vec<Partition>,
    /// Whether the live generation is of another log, so that the two have nothing in common.
    pub(super) is_another: bool,
}

impl<'s> Source<'s> {
    /// The log that is there, if it still has its beginning.
    pub(super) async fn look(settings: &'s Settings, pool: &PgPool) -> anyhow::Result<Self> {
        let identity = LogIdentity::new(settings)?;
        let ids = identity.present().await?;
        let mut connection = pool.acquire().await?;
        let live = live(&mut connection).await?.context("there is no live generation")?;
        let is_another = log_identity::folded(&mut connection, live).await? != ids;
        let partitions = whole_log(settings).await?;
        Ok(Self { settings, identity, ids, partitions, is_another })
    }

    /// Where it ends.
    pub(super) async fn ends(&self) -> anyhow::Result<Vector> {
        let ends = ask::ends(self.settings, self.partitions.clone()).await?;
        Ok(ends.into_iter().map(|(partition, ends)| (partition, ends.high)).collect())
    }

    /// Proves that everything that was read so far is of this log.
    pub(super) async fn prove(&self) -> anyhow::Result<()> {
        let is_same = self.identity.present().await? == self.ids;
        anyhow::ensure!(is_same, "the log's topics were made anew while it was read: begin again");
        Ok(())
    }
}

/// All partitions, if the log still has its beginning.
async fn whole_log(settings: &Settings) -> anyhow::Result<Vec<Partition>> {
    let count = i32::try_from(ask::partitions(settings).await?)?;
    let partitions: Vec<_> = Topic::ALL
        .into_iter()
        .flat_map(|topic| (0..count).map(move |partition| (topic, partition)))
        .collect();
    let ends = ask::ends(settings, partitions.clone()).await?;
    let cut = ends.iter().find(|(_, ends)| ends.low > 0);
    if let Some(((topic, partition), ends)) = cut {
        anyhow::bail!(
            "the log has lost its beginning: {topic} partition {partition} begins at offset {}",
            ends.low
        );
    }
    Ok(partitions)
}
