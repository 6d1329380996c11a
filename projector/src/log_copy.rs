//! A copy of the log in topics of another prefix, with another number of partitions where that is wanted: the way back from topics that got more
//! partitions. Records stay as they are, those of one key keep their order, and the topics that are copied are only read.
//!
//! What is personal in a copy can be read as before: it is bound to tenant, user and sequence, not to a topic.

mod follow;
mod homes;
mod item;
mod order;
mod source;
mod survey;
mod topic;
mod writer;

use anyhow::Context as _;
use event_log::{
    identity::{Counts, LogIdentity},
    log_ends::name_of,
};
use events_schema::Topic;
use follow::Followed;
use homes::Homes;
use service_kit::{
    kafka::{Topics, create_like},
    settings::Settings,
};
use sqlx::PgPool;
use std::collections::BTreeMap;
use topic::Job;

/// What an operator wants of a copy.
#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// What the names of the new topics begin with.
    pub to_prefix: String,
    /// How many partitions they get; `None`: as many as the log was folded with.
    pub partitions: Option<u32>,
    /// How many partitions the log was made with; `None`: what the read model knows, or else the fewer of the two topics.
    pub made_with: Option<u32>,
    /// Whether a log may be copied that does not begin at offset 0.
    pub from_cut: bool,
}

/// What a copy is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum CopyPhase {
    /// Looking for users whose records lie in two partitions.
    Surveying,
    /// Copying.
    Copying,
    /// Reading the copy.
    Verifying,
}

/// How far a copy has come.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyProgress {
    /// The topic that is copied.
    pub topic: String,
    /// What is done.
    pub phase: CopyPhase,
    /// Records so far.
    pub records: u64,
    /// About how many there are.
    pub total: u64,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyReport {
    /// How many partitions the log was made with.
    pub made_with: u32,
    /// Both topics.
    pub topics: Vec<CopiedTopic>,
}

/// A topic that was copied.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopiedTopic {
    /// Its name.
    pub from: String,
    /// The copy's name.
    pub to: String,
    /// Its partitions.
    pub from_partitions: u32,
    /// The copy's partitions.
    pub to_partitions: u32,
    /// Records that were read, and are in the copy.
    pub records: u64,
    /// Users whose records lay in two partitions and were put in one order.
    pub joined_users: u64,
    /// Records whose key is none, or lay where it does not belong: they still do.
    pub strays: u64,
}

/// Copies both topics of the log, and compares.
///
/// # Errors
/// Kafka or Postgres fails, the new topics hold records already, the log is cut or has an open transaction, it grew meanwhile, or the copy does
/// not hold the same records. The log that is copied is untouched in any case.
pub async fn copy_log(
    settings: &Settings,
    options: &CopyOptions,
    mut progress: impl FnMut(CopyProgress),
) -> anyhow::Result<CopyReport> {
    anyhow::ensure!(
        options.to_prefix != settings.topic_prefix,
        "the copy must have another prefix than the log, which has {:?}",
        settings.topic_prefix
    );
    let mut copy = settings.clone();
    copy.topic_prefix.clone_from(&options.to_prefix);
    let pool = read_model::pool(settings)?;
    let present = LogIdentity::new(settings)?.present().await?.counts;
    let made_with = made_with(settings, options, &pool, present).await?;
    let partitions = options.partitions.unwrap_or(made_with);
    anyhow::ensure!(partitions > 0, "--partitions: a topic has at least one partition");
    let jobs = jobs(settings, &copy, present, made_with, partitions);
    for job in &jobs {
        check(job, options).await?;
    }
    for job in &jobs {
        create_like(settings, &job.from, &job.to, partitions).await?;
    }
    let (mut topics, mut followed) = (Vec::new(), BTreeMap::new());
    for job in &jobs {
        let mut known = Followed::load(settings, &pool, job.topic).await?;
        topics.push(job.run(&mut |moved| known.arrived(moved), &mut progress).await?);
        followed.insert(job.topic, known);
    }
    follow::say(settings, &copy, &pool, &followed).await?;
    pool.close().await;
    Ok(CopyReport { made_with, topics })
}

fn jobs<'j>(
    settings: &'j Settings,
    copy: &Settings,
    present: Counts,
    folded: u32,
    partitions: u32,
) -> Vec<Job<'j>> {
    let (from, to) = (Topics::new(&settings.topic_prefix), Topics::new(&copy.topic_prefix));
    let job = |topic| {
        let present = match topic {
            Topic::Users => present.users,
            Topic::Credentials => present.credentials,
        };
        let homes = Homes { folded, present, copy: partitions };
        let (from, to) = (name_of(&from, topic).to_owned(), name_of(&to, topic).to_owned());
        Job { settings, topic, from, to, homes }
    };
    Topic::ALL.into_iter().map(job).collect()
}

/// How many partitions the log was made with. They only ever get more, so where nobody knows it is the fewer.
async fn made_with(
    settings: &Settings,
    options: &CopyOptions,
    pool: &PgPool,
    present: Counts,
) -> anyhow::Result<u32> {
    let fewer = present.users.min(present.credentials);
    let log = LogIdentity::new(settings)?.present().await?;
    let mut connection = pool.acquire().await?;
    let known = event_log::identity::known_log(&mut connection, &log.ids).await?;
    let known = known.and_then(|known| known.partitions);
    let made_with = options.made_with.or(known).unwrap_or(fewer);
    anyhow::ensure!(
        (1..=fewer).contains(&made_with),
        "--made-with: the topics have {} and {} partitions, and can't have been made with {made_with}",
        present.users,
        present.credentials
    );
    Ok(made_with)
}

/// Whether a topic can be copied, before anything is made.
async fn check(job: &Job<'_>, options: &CopyOptions) -> anyhow::Result<()> {
    let ranges = source::ranges(job.settings, &job.from).await?;
    let cut = ranges.iter().find(|(_, range)| range.start > 0);
    if let Some((partition, range)) = cut.filter(|_| !options.from_cut) {
        anyhow::bail!(
            "the log does not begin at 0: {} partition {partition} begins at offset {}. What lay before is lost, and a copy would not show \
             that. To copy what is left, say --from-cut",
            job.from,
            range.start
        );
    }
    let there =
        source::ranges_if_any(job.settings, &job.to).await.with_context(|| format!("topic {}", job.to))?;
    anyhow::ensure!(
        there.is_none_or(|ranges| source::total(&ranges) == 0),
        "topic {} holds records already: choose another prefix",
        job.to
    );
    Ok(())
}
