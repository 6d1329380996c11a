//! What topics promise. Settings that can lose acknowledged events are rejected or reported.

use super::{
    Topics,
    admin::{Admin, Found, value},
};
use crate::settings::Settings;
use std::fmt;

/// A domain topic is the source of truth: nothing in it may ever be dropped.
pub(super) const KEPT: &[(&str, &str)] =
    &[("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];
/// Makes the broker decompress what it receives, so that its size limit applies to the uncompressed
/// record. A few compressed kilobytes can expand to more than any client accepts, and that client
/// would never get past the record.
pub(super) const UNPACKED: (&str, &str) = ("compression.type", "uncompressed");
/// How many replicas must have an event before it is acknowledged, where there are three or more.
pub(super) const TWO_IN_SYNC: (&str, &str) = ("min.insync.replicas", "2");
const UNCLEAN: (&str, &str) = ("unclean.leader.election.enable", "false");

/// A topic setting that breaks a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFault {
    /// The topic's name.
    pub topic: String,
    /// The setting.
    pub setting: &'static str,
    /// The current value.
    pub found: String,
    /// The required value.
    pub wanted: &'static str,
    /// What it leads to.
    why: &'static str,
    /// Whether startup must fail.
    pub is_refused: bool,
}

impl fmt::Display for TopicFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, setting, found, wanted, why, .. } = self;
        write!(f, "topic {topic} has {setting}={found}, but it should be {wanted}: {why}. Fix it with ")?;
        if *setting == REPLICAS {
            write!(f, "kafka-reassign-partitions.sh, giving each partition {wanted} replicas")
        } else {
            write!(
                f,
                "kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {setting}={wanted}"
            )
        }
    }
}

const REPLICAS: &str = "replication.factor";

/// The purpose of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Domain,
    Analytics,
}

/// The settings of the existing topics that break a promise.
///
/// # Errors
/// The broker can't be reached, or does not report a topic's settings.
pub async fn topic_faults(settings: &Settings) -> anyhow::Result<Vec<TopicFault>> {
    let Topics { users, credentials, analytics } = Topics::new(&settings.topic_prefix);
    let admin = Admin::new(settings)?;
    let mut faults = Vec::new();
    for (topic, kind) in [(users, Kind::Domain), (credentials, Kind::Domain), (analytics, Kind::Analytics)] {
        let Some(found) = admin.find(&topic).await? else { continue };
        let config = admin.config(&topic).await?;
        faults.extend(check_topic(&topic, kind, found, |key| value(&config, key).to_owned()));
    }
    Ok(faults)
}

fn check_topic(
    topic: &str,
    kind: Kind,
    found: Found,
    value: impl Fn(&'static str) -> String,
) -> Vec<TopicFault> {
    let fault = |Broken { setting, wanted, why, is_refused }| {
        let found = if setting == REPLICAS { found.replicas.to_string() } else { value(setting) };
        TopicFault { topic: topic.to_owned(), setting, found, wanted, why, is_refused }
    };
    let unclean = unclean_election(kind, found, &value);
    let broken: Vec<Broken> = match kind {
        Kind::Domain => {
            let lost = retention(&value).chain(unclean).chain(acknowledgement(found, &value));
            lost.chain(single_replica(found)).chain(compression(&value)).collect()
        }
        Kind::Analytics => compaction(&value).into_iter().chain(unclean).collect(),
    };
    broken.into_iter().map(fault).collect()
}

/// A broken promise, without the topic and the value found.
struct Broken {
    setting: &'static str,
    wanted: &'static str,
    why: &'static str,
    is_refused: bool,
}

impl Broken {
    fn new((setting, wanted): (&'static str, &'static str), why: &'static str) -> Self {
        Self { setting, wanted, why, is_refused: false }
    }

    fn refused_if(self, is_refused: bool) -> Self {
        Self { is_refused, ..self }
    }
}

fn retention(value: &impl Fn(&'static str) -> String) -> impl Iterator<Item = Broken> {
    let lost = KEPT.iter().filter(|(key, wanted)| value(key) != *wanted);
    lost.map(|kept| Broken::new(*kept, "the log must be kept forever").refused_if(true))
}

fn compaction(value: &impl Fn(&'static str) -> String) -> Option<Broken> {
    let why =
        "the START of a request and its end have the same key, and compaction keeps only the last of them";
    value("cleanup.policy").contains("compact").then(|| Broken::new(("cleanup.policy", "delete"), why))
}

fn unclean_election(kind: Kind, found: Found, value: &impl Fn(&'static str) -> String) -> Option<Broken> {
    let why = "a replica that lacks acknowledged events may become the leader, and they are lost";
    let is_broken = found.replicas > 1 && value(UNCLEAN.0) == "true";
    is_broken.then(|| Broken::new(UNCLEAN, why).refused_if(kind == Kind::Domain))
}

fn acknowledgement(found: Found, value: &impl Fn(&'static str) -> String) -> impl Iterator<Item = Broken> {
    let in_sync = value(TWO_IN_SYNC.0).parse().unwrap_or(1);
    let why = "an event is acknowledged when a single broker has it, and lost with that broker";
    let too_few = (found.replicas > 1 && in_sync < 2).then(|| Broken::new(TWO_IN_SYNC, why));
    let why = "there are fewer replicas than that, so no write can be acknowledged";
    let wanted = if found.replicas > 2 { "2" } else { "1" };
    let too_many = (in_sync > found.replicas).then(|| Broken::new((TWO_IN_SYNC.0, wanted), why));
    too_few.into_iter().chain(too_many)
}

fn single_replica(found: Found) -> Option<Broken> {
    let why = "with a single replica the log is lost with one broker's disk, though there are more brokers";
    let wanted = if found.brokers > 2 { "3" } else { "2" };
    (found.replicas == 1 && found.brokers > 1).then(|| Broken::new((REPLICAS, wanted), why))
}

fn compression(value: &impl Fn(&'static str) -> String) -> Option<Broken> {
    let why = "anyone who may write there can block its consumers with a record that decompresses beyond their limit";
    (value(UNPACKED.0) != UNPACKED.1).then(|| Broken::new(UNPACKED, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: [(&str, &str); 6] = [
        ("cleanup.policy", "delete"),
        ("retention.ms", "-1"),
        ("retention.bytes", "-1"),
        ("unclean.leader.election.enable", "false"),
        ("min.insync.replicas", "2"),
        ("compression.type", "uncompressed"),
    ];

    /// Setting, wanted value, and whether it is rejected.
    fn faults(
        kind: Kind,
        replicas: usize,
        brokers: usize,
        other: &[(&str, &str)],
    ) -> Vec<(String, String, bool)> {
        let value = |key: &'static str| {
            let all = other.iter().chain(&SOUND);
            all.clone()
                .find(|(name, _)| *name == key)
                .map_or_else(String::new, |(_, value)| (*value).to_owned())
        };
        let faults = check_topic("t", kind, Found { replicas, brokers }, value);
        faults.into_iter().map(|f| (f.setting.to_owned(), f.wanted.to_owned(), f.is_refused)).collect()
    }

    fn one(setting: &str, wanted: &str, is_refused: bool) -> Vec<(String, String, bool)> {
        vec![(setting.to_owned(), wanted.to_owned(), is_refused)]
    }

    #[test]
    fn a_sound_topic_has_no_fault() {
        assert_eq!(faults(Kind::Domain, 3, 3, &[]), []);
        assert_eq!(faults(Kind::Analytics, 1, 3, &[("retention.ms", "1"), ("min.insync.replicas", "1")]), []);
    }

    #[test]
    fn the_lone_broker_of_the_local_default_is_nothing_to_tell() {
        let local = [("min.insync.replicas", "1"), ("unclean.leader.election.enable", "true")];
        assert_eq!(faults(Kind::Domain, 1, 1, &local), []);
    }

    #[test]
    fn what_loses_acknowledged_events_is_found() {
        let unclean = [("unclean.leader.election.enable", "true")];
        assert_eq!(faults(Kind::Domain, 3, 3, &unclean), one(UNCLEAN.0, "false", true));
        assert_eq!(faults(Kind::Analytics, 3, 3, &unclean), one(UNCLEAN.0, "false", false));
        let alone = [("min.insync.replicas", "1")];
        assert_eq!(faults(Kind::Domain, 3, 3, &alone), one("min.insync.replicas", "2", false));
        assert_eq!(
            faults(Kind::Domain, 3, 3, &[("min.insync.replicas", "4")]),
            one("min.insync.replicas", "2", false)
        );
        assert_eq!(faults(Kind::Domain, 3, 3, &[("retention.ms", "5")]), one("retention.ms", "-1", true));
        assert_eq!(faults(Kind::Domain, 1, 3, &alone), one(REPLICAS, "3", false));
        let compact = [("cleanup.policy", "compact,delete")];
        assert_eq!(faults(Kind::Domain, 3, 3, &compact), one("cleanup.policy", "delete", true));
        assert_eq!(faults(Kind::Analytics, 3, 3, &compact), one("cleanup.policy", "delete", false));
    }
}
