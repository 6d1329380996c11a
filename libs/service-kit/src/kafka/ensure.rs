//! The topics exist as promised, or the start is refused.

use super::{
    Topics,
    admin::{Admin, MadeTopic},
    promises::{KEPT, TWO_IN_SYNC, UNPACKED, topic_faults},
};
use crate::settings::Settings;
use anyhow::ensure;

/// Analytic events may hold claims at level 3, so they go after a week.
const A_WEEK: &[(&str, &str)] = &[("cleanup.policy", "delete"), ("retention.ms", "604800000")];

/// The broker's own replication factor.
const BROKERS_OWN: i32 = -1;

/// Creates the topics that are missing and refuses those that break a promise (partition counts that differ, or
/// settings of the two domain topics under which acknowledged events are lost), naming topic, setting, found and
/// wanted value, and the command that mends it. What is only risky is a warning. Idempotent, safe in several processes at once.
///
/// # Errors
/// The broker can't be reached, or a topic breaks a promise.
pub async fn ensure_topics(settings: &Settings) -> anyhow::Result<Vec<MadeTopic>> {
    let topics = Topics::new(&settings.topic_prefix);
    let admin = Admin::new(settings)?;
    let found = [admin.partitions(&topics.users).await?, admin.partitions(&topics.credentials).await?];
    let count = wanted_count(settings, found);
    let mut domain = [KEPT, &[UNPACKED]].concat();
    let mut analytics = A_WEEK.to_vec();
    if admin.default_replicas().await.is_some_and(|replicas| replicas > 2) {
        domain.push(TWO_IN_SYNC);
        analytics.push(TWO_IN_SYNC);
    }
    let mut made = Vec::new();
    for (topic, config) in
        [(&topics.users, &domain), (&topics.credentials, &domain), (&topics.analytics, &analytics)]
    {
        made.extend(admin.create_missing(topic, count, BROKERS_OWN, config).await?);
    }

    let users = admin.partitions_soon(&topics.users).await?;
    let credentials = admin.partitions_soon(&topics.credentials).await?;
    check_counts(settings, &topics, users, credentials)?;
    for fault in topic_faults(settings).await? {
        ensure!(!fault.is_refused, "{fault}");
        tracing::warn!("{fault}");
    }
    Ok(made)
}

/// Unless the operator wants a certain count, a topic that is missing takes after the one that is there.
fn wanted_count(settings: &Settings, found: [Option<u32>; 2]) -> u32 {
    let there = found.into_iter().flatten().next().filter(|_| !settings.is_partitions_given);
    there.unwrap_or(settings.partitions)
}

fn check_counts(settings: &Settings, topics: &Topics, users: u32, credentials: u32) -> anyhow::Result<()> {
    ensure!(
        users == credentials,
        "{} has {users} partitions and {} has {credentials}: both must have the same number, or a user's credentials lie where \
         nobody looks for them. Keep both topics: `rollcall log copy --to-prefix PREFIX` copies what is in them into topics that \
         have the same number; then set ROLLCALL_TOPIC_PREFIX=PREFIX and run `rollcall migrate`",
        topics.users,
        topics.credentials,
    );
    ensure!(
        !settings.is_partitions_given || users == settings.partitions,
        "ROLLCALL_PARTITIONS: is {}, but {} and {} have {users} partitions, and a user's events can't move to another: \
         set ROLLCALL_PARTITIONS={users}, or leave it out",
        settings.partitions,
        topics.users,
        topics.credentials,
    );
    Ok(())
}
