//! The log that a generation is built from: the one that the live generation is of, or another that took its place.

use super::{builder::Vector, live};
use anyhow::Context as _;
use event_log::{
    Halt,
    cuts::{self, Cut},
    identity::{self, LogIdentity, LogMatch, Present, compare},
    log_ends,
};
use events_schema::Partition;
use service_kit::{kafka::Topics, settings::Settings};
use sqlx::PgPool;

pub(super) struct Source<'s> {
    settings: &'s Settings,
    identity: LogIdentity,
    /// What it is known by.
    pub(super) log: Present,
    /// All of it.
    pub(super) partitions: Vec<Partition>,
    /// Whether the live generation is of another log, so that the two have nothing in common.
    pub(super) is_another: bool,
    /// Where it does not begin at 0.
    pub(super) cuts: Vec<Cut>,
    /// The first offset of each partition that does not begin at 0.
    pub(super) begins: Vector,
}

impl<'s> Source<'s> {
    /// The log that is there, if it still has its beginning.
    ///
    /// # Errors
    /// It has not got it, and may not be folded without; or Kafka or Postgres can't be asked.
    pub(super) async fn look(settings: &'s Settings, pool: &PgPool, from_cut: bool) -> anyhow::Result<Self> {
        let identity = LogIdentity::new(settings)?;
        let log = identity.present().await?;
        let mut connection = pool.acquire().await?;
        let live = live(&mut connection).await?.context("there is no live generation")?;
        let is_another = identity::folded_log(&mut connection, live).await?.ids != log.ids;
        // Also one that some earlier generation was folded from.
        if let Some(known) = identity::known_log(&mut connection, &log.ids).await?
            && let LogMatch::Altered(altered) = compare(&Topics::new(&settings.topic_prefix), &log, &known)
        {
            return Err(Halt::from(altered).into());
        }
        // Both topics must have the same number.
        log_ends::partitions(settings).await?;
        let ends = log_ends::all_ends(settings).await?;
        let cuts = cuts::cuts_of_log(settings, &mut connection).await?;
        anyhow::ensure!(from_cut || cuts.is_empty(), "{}", Self::refusal(&cuts));
        let begins =
            ends.iter().filter(|(_, ends)| ends.low > 0).map(|(partition, ends)| (*partition, ends.low));
        let begins = begins.collect();
        Ok(Self { settings, identity, log, partitions: ends.into_keys().collect(), is_another, cuts, begins })
    }

    fn refusal(cuts: &[Cut]) -> String {
        format!(
            "{}: a generation that is built from the rest lacks users that the live one has. Nothing was changed. To build it all the same, \
             say --from-cut; it goes live only if it has not set more aside than the live one",
            cuts::cuts_in_words(cuts)
        )
    }

    /// Where it ends.
    pub(super) async fn ends(&self) -> anyhow::Result<Vector> {
        let ends = log_ends::ends(self.settings, self.partitions.clone()).await?;
        Ok(ends.into_iter().map(|(partition, ends)| (partition, ends.high)).collect())
    }

    /// Proves that everything that was read so far is of this log.
    pub(super) async fn prove(&self) -> anyhow::Result<()> {
        let is_same = self.identity.present().await? == self.log;
        anyhow::ensure!(
            is_same,
            "the log's topics were made anew, or got more partitions, while it was read: begin again"
        );
        Ok(())
    }
}
