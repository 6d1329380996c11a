//! The log that a generation is built from: the log of the live generation, or another one that
//! replaced it.

use super::{follower::Offsets, live};
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

/// The log in Kafka.
pub(crate) struct Source<'s> {
    settings: &'s Settings,
    identity: LogIdentity,
    /// The ids and the partition counts of its topics.
    pub(crate) log: Present,
    /// The epoch of the log, if it was folded before.
    pub(crate) epoch: Option<i32>,
    /// All partitions of both topics.
    pub(crate) partitions: Vec<Partition>,
    /// Whether the live generation is folded from another log.
    pub(crate) is_another: bool,
    /// The partitions that do not begin at 0.
    pub(crate) cuts: Vec<Cut>,
    /// The first offsets of those partitions.
    pub(crate) first_offsets: Offsets,
}

impl<'s> Source<'s> {
    /// Finds out about the log, and checks that it can be folded.
    ///
    /// # Errors
    /// A partition does not begin at 0, unless `from_cut` is set; the log got more partitions; or
    /// Kafka or PostgreSQL can't be asked.
    pub(crate) async fn open(settings: &'s Settings, pool: &PgPool, from_cut: bool) -> anyhow::Result<Self> {
        let identity = LogIdentity::new(settings)?;
        let log = identity.present().await?;
        let mut connection = pool.acquire().await?;
        let live = live(&mut connection).await?.context("there is no live generation")?;
        let is_another = identity::folded_log(&mut connection, live).await?.ids != log.ids;
        // An earlier generation may have been folded from this log.
        if let Some(known) = identity::known_log(&mut connection, &log.ids).await?
            && let LogMatch::Altered(altered) = compare(&Topics::new(&settings.topic_prefix), &log, &known)
        {
            return Err(Halt::from(altered).into());
        }
        let epoch = identity::known_epoch(&mut connection, &log.ids).await?;
        // Checks that both topics have the same number of partitions.
        log_ends::partitions(settings).await?;
        let ends = log_ends::all_ends(settings).await?;
        let cuts = cuts::cuts_of_log(settings, &mut connection).await?;
        anyhow::ensure!(from_cut || cuts.is_empty(), "{}", Self::cut_error(&cuts));
        let cut = ends.iter().filter(|(_, ends)| ends.low > 0);
        let first_offsets = cut.map(|(partition, ends)| (*partition, ends.low)).collect();
        let partitions = ends.into_keys().collect();
        Ok(Self { settings, identity, log, epoch, partitions, is_another, cuts, first_offsets })
    }

    fn cut_error(cuts: &[Cut]) -> String {
        format!(
            "{}. A generation built from the rest lacks users that the live one has. Nothing was changed. To build it anyway, pass \
             --from-cut",
            cuts::describe_cuts(cuts)
        )
    }

    /// Where a partition begins.
    pub(crate) fn first_offset(&self, partition: Partition) -> i64 {
        self.first_offsets.get(&partition).copied().unwrap_or_default()
    }

    /// The ends of the partitions.
    pub(crate) async fn ends(&self) -> anyhow::Result<Offsets> {
        let ends = log_ends::ends(self.settings, self.partitions.clone()).await?;
        Ok(ends.into_iter().map(|(partition, ends)| (partition, ends.high)).collect())
    }

    /// Checks that everything that was read so far is of this log.
    pub(crate) async fn check_identity(&self) -> anyhow::Result<()> {
        let is_same = self.identity.present().await? == self.log;
        anyhow::ensure!(
            is_same,
            "the log's topics were recreated, or got more partitions, while they were read: run the rebuild again"
        );
        Ok(())
    }
}
