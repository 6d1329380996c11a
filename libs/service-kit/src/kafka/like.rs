//! A topic that takes after another one: for a copy of the log.

use super::{
    admin::Admin,
    promises::{KEPT, UNPACKED},
};
use crate::settings::Settings;
use anyhow::{Context as _, ensure};
use rdkafka::admin::ConfigSource;

/// So that records keep the times that they have.
const TIMES: (&str, &str) = ("message.timestamp.type", "CreateTime");

/// Makes the topic `to` with so many partitions, and with the replicas and settings of the topic `from`, but for those
/// settings that a domain topic must have. One that is there already is taken if it has that many partitions.
///
/// # Errors
/// The broker can't be reached or refuses, there is no topic `from`, or `to` has another number of partitions.
pub async fn make_like(settings: &Settings, from: &str, to: &str, partitions: u32) -> anyhow::Result<()> {
    let admin = Admin::new(settings)?;
    let found = admin.find(from).await?.with_context(|| format!("there is no topic {from}"))?;
    let config = admin.config(from).await?;
    let own = config.entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
    let own = own.filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)));
    let ours = [KEPT, &[UNPACKED, TIMES]].concat();
    let own = own.filter(|(key, _)| ours.iter().all(|(our, _)| our != key));
    let wanted: Vec<_> = own.chain(ours.iter().copied()).collect();
    admin.create_missing(to, partitions, i32::try_from(found.replicas)?, &wanted).await?;
    let there = admin.partitions_soon(to).await?;
    ensure!(
        there == partitions,
        "topic {to} is there with {there} partitions, and {partitions} are wanted: choose another prefix"
    );
    Ok(())
}
