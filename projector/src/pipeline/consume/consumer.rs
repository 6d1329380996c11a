//! Starting and stopping the consumer's thread.

use super::{
    ConsumerEvent, ConsumerState, EventQueue,
    group_member::GroupMember,
    thread::{ConsumerThread, Ended},
};
use rdkafka::ClientConfig;
use service_kit::{
    kafka::{self, OwnSettings, Topics},
    settings::Settings,
};
use std::{
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
};
use tokio::sync::mpsc;

/// The most events that wait between the consumer's thread and the pipeline.
const QUEUE: usize = 1_024;

const OWN_SETTINGS: OwnSettings<'_> = OwnSettings { defaults: DEFAULTS, required: REQUIRED };

const DEFAULTS: &[(&str, &str)] = &[
    // Longer than the restart of a killed broker takes: afterwards we are still a member, and
    // nobody waits for a dead one.
    ("session.timeout.ms", "6000"),
    // A member learns of a rebalance with its next heartbeat, and the others wait until then.
    ("heartbeat.interval.ms", "500"),
    // After an assignment, librdkafka (2.12.1) starts about one partition per fetch, and a fetch of an
    // idle log lasts this long.
    ("fetch.wait.max.ms", "50"),
    ("fetch.min.bytes", "1"),
    ("queued.min.messages", "20000"),
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.queue.backoff.ms", "10"),
];

const REQUIRED: &[(&str, &str)] = &[
    // One member has the same partitions of both topics, and each assignment is a whole one.
    ("partition.assignment.strategy", "range"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("isolation.level", "read_committed"),
    // The last offset may hold no record but the marker of a transaction.
    ("enable.partition.eof", "true"),
    // Tells whether brokers are reachable, and where the log ends.
    ("statistics.interval.ms", "2000"),
];

/// The consumer, which has a thread of its own.
pub(crate) struct Consumer {
    /// The events that it sends.
    pub(crate) events: EventQueue,
    state: ConsumerState,
    thread: Option<JoinHandle<()>>,
}

impl Consumer {
    /// Joins the group. `partition_count` is the number of partitions of each topic.
    ///
    /// # Errors
    /// The settings are invalid for a Kafka client.
    pub(crate) fn start(
        settings: &Settings,
        partition_count: u32,
        state: ConsumerState,
    ) -> anyhow::Result<Self> {
        let (sender, events) = mpsc::channel::<ConsumerEvent>(QUEUE);
        let topics = Topics::new(&settings.topic_prefix);
        let member = GroupMember {
            topics: topics.clone(),
            events: sender.clone(),
            state: state.clone(),
            contact: Arc::default(),
            positions: Arc::default(),
        };
        let config = config(settings)?;
        let consumer = config.create_with_context(member)?;
        let ended = Ended::default();
        let thread = ConsumerThread { config, consumer, topics, events: sender, partition_count, ended };
        thread.subscribe()?;
        let thread = std::thread::Builder::new().name("projector-log".into()).spawn(move || thread.run())?;
        Ok(Self { state, events, thread: Some(thread) })
    }

    /// Leaves the group and ends the thread.
    pub(crate) async fn stop(mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        // Further events go nowhere, and a request for offsets gets no answer.
        drop(self.events);
        if let Some(thread) = self.thread.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        self.state.stop.store(false, Ordering::Relaxed);
    }
}

fn config(settings: &Settings) -> anyhow::Result<ClientConfig> {
    let mut config = kafka::client_config(settings)?;
    config.set("group.id", format!("{}rollcall-projector", settings.topic_prefix));
    OWN_SETTINGS.add_to(&mut config, settings);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_may_set_what_is_only_a_matter_of_speed() {
        let vars = [
            ("KAFKA_BROKERS", "127.0.0.1:1"),
            ("ROLLCALL_KAFKA__session_timeout_ms", "30000"),
            ("ROLLCALL_KAFKA__fetch_wait_max_ms", "200"),
            ("ROLLCALL_KAFKA__queued_min_messages", "5"),
            ("ROLLCALL_KAFKA__enable_auto_commit", "true"),
            ("ROLLCALL_KAFKA__partition_assignment_strategy", "cooperative-sticky"),
        ];
        let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = config(&Settings::from_vars(vars, "127.0.0.1:0").unwrap()).unwrap();
        for (key, value) in [
            ("session.timeout.ms", "30000"),
            ("fetch.wait.max.ms", "200"),
            ("queued.min.messages", "5"),
            ("heartbeat.interval.ms", "500"),
            ("enable.auto.commit", "false"),
            ("partition.assignment.strategy", "range"),
        ] {
            assert_eq!(config.get(key), Some(value), "{key}");
        }
        assert!(config.create_native_config().is_ok());
    }
}
