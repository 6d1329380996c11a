//! Copies the log to topics with another prefix, and with another number of partitions if
//! requested. This repairs topics that got more partitions.
//!
//! Records stay as they are, and those of one key keep their order. The topics that are copied are
//! only read. Personal data in a copy can be decrypted as before: it is bound to tenant, user and
//! sequence, not to a topic.

mod carry_over;
mod homes;
mod merge;
mod record;
mod report;
mod source;
mod survey;
mod topic;
mod writer;

use self::carry_over::CarriedOver;
use anyhow::Context as _;
use event_log::{
    identity::{Counts, LogIdentity},
    log_ends::name_of,
};
use events_schema::Topic;
use homes::Homes;
pub use report::{CopiedTopic, CopyOptions, CopyPhase, CopyProgress, CopyReport};
use service_kit::{
    kafka::{Topics, create_like},
    settings::Settings,
};
use sqlx::PgPool;
use std::collections::BTreeMap;
use topic::Job;

/// Copies both topics of the log, and compares the copies with them.
///
/// # Errors
/// Kafka or PostgreSQL fails, the new topics have records already, the log is cut or has an open
/// transaction, it grew meanwhile, or the copy has not the same records. The log itself is never
/// changed.
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
    let (mut topics, mut carried_over) = (Vec::new(), BTreeMap::new());
    for job in &jobs {
        let mut of_topic = CarriedOver::load(settings, &pool, job.topic).await?;
        topics.push(job.run(&mut |moved| of_topic.record_moved(moved), &mut progress).await?);
        carried_over.insert(job.topic, of_topic);
    }
    carry_over::store(settings, &copy, &pool, &carried_over).await?;
    pool.close().await;
    Ok(CopyReport { made_with, topics })
}

fn jobs<'j>(
    settings: &'j Settings,
    copy: &Settings,
    present: Counts,
    made_with: u32,
    partitions: u32,
) -> Vec<Job<'j>> {
    let (from, to) = (Topics::new(&settings.topic_prefix), Topics::new(&copy.topic_prefix));
    let job = |topic| {
        let present = match topic {
            Topic::Users => present.users,
            Topic::Credentials => present.credentials,
        };
        let homes = Homes { made_with, present, copy: partitions };
        let (from, to) = (name_of(&from, topic).to_owned(), name_of(&to, topic).to_owned());
        Job { settings, topic, from, to, homes }
    };
    Topic::ALL.into_iter().map(job).collect()
}

/// The number of partitions that the log was created with. A topic never gets fewer partitions, so
/// if the number is unknown, the smaller one is right.
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

/// Checks that a topic can be copied, before anything is created.
async fn check(job: &Job<'_>, options: &CopyOptions) -> anyhow::Result<()> {
    let ranges = source::ranges(job.settings, &job.from).await?;
    let cut = ranges.iter().find(|(_, range)| range.start > 0);
    if let Some((partition, range)) = cut.filter(|_| !options.from_cut) {
        anyhow::bail!(
            "the log does not begin at 0: {} partition {partition} begins at offset {}. The records before it are lost, and a copy \
             would not show that. To copy what is left, pass --from-cut",
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
