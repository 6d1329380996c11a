//! Creates a topic modelled on another one, for a copy of the log.

use super::{
    admin::Admin,
    promises::{KEPT, UNPACKED},
};
use crate::settings::Settings;
use anyhow::{Context as _, ensure};
use rdkafka::admin::ConfigSource;

/// Copied records keep their timestamps.
const TIMES: (&str, &str) = ("message.timestamp.type", "CreateTime");

/// Creates the topic `to` with `partitions` partitions and with the replicas and settings of the
/// topic `from`, except for the settings that a domain topic must have. An existing topic is
/// accepted if it has that many partitions.
///
/// # Errors
/// The broker can't be reached or refuses, the topic `from` does not exist, or `to` has another
/// number of partitions.
pub async fn create_like(settings: &Settings, from: &str, to: &str, partitions: u32) -> anyhow::Result<()> {
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
        "topic {to} exists with {there} partitions, but {partitions} are needed: choose another prefix"
    );
    Ok(())
}
