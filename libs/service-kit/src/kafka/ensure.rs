//! Creates missing topics at startup and rejects unsafe ones.

use super::{
    Topics,
    admin::{Admin, CreatedTopic},
    promises::{KEPT, TWO_IN_SYNC, UNPACKED, topic_faults},
};
use crate::settings::Settings;
use anyhow::ensure;

/// Analytic events may contain claims at level 3, so they are deleted after a week.
const A_WEEK: &[(&str, &str)] = &[("cleanup.policy", "delete"), ("retention.ms", "604800000")];

/// Use the broker's default replication factor.
const BROKERS_OWN: i32 = -1;

/// Creates the missing topics and rejects existing ones that break a promise: differing partition
/// counts, or settings of the two domain topics that would lose acknowledged events. The error
/// names the topic, the setting, the value found and wanted, and the command that fixes it. Merely
/// risky settings are logged as warnings. Idempotent, and safe in several processes at once.
///
/// # Errors
/// The broker can't be reached, or a topic breaks a promise.
pub async fn ensure_topics(settings: &Settings) -> anyhow::Result<Vec<CreatedTopic>> {
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

/// Unless the operator sets a count, a missing topic gets the count of the existing one.
fn wanted_count(settings: &Settings, found: [Option<u32>; 2]) -> u32 {
    let there = found.into_iter().flatten().next().filter(|_| !settings.is_partitions_given);
    there.unwrap_or(settings.partitions)
}

fn check_counts(settings: &Settings, topics: &Topics, users: u32, credentials: u32) -> anyhow::Result<()> {
    ensure!(
        users == credentials,
        "{} has {users} partitions and {} has {credentials}: both must have the same number, or a user's credentials can't be \
         found. Keep both topics: copy them with `rollcall log copy --to-prefix PREFIX` into topics that \
         have the same number; then set ROLLCALL_TOPIC_PREFIX=PREFIX and run `rollcall migrate`",
        topics.users,
        topics.credentials,
    );
    ensure!(
        !settings.is_partitions_given || users == settings.partitions,
        "ROLLCALL_PARTITIONS: is {}, but {} and {} have {users} partitions, and a user's events can't move to another one: \
         set ROLLCALL_PARTITIONS={users}, or unset it",
        settings.partitions,
        topics.users,
        topics.credentials,
    );
    Ok(())
}
