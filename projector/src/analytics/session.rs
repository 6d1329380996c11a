//! One membership in the group: read, wait for the fold, derive, commit.

use super::{
    derive,
    group::Member,
    metrics,
    outcomes::Outcomes,
    pending::{Candidate, Pending},
    starts::{Committed, Starts, starts},
    transaction::Transactions,
    written,
};
use anyhow::Context as _;
use events_schema::{UserRecord, analytics::Level, decode_user};
use key_store::KeyRing;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::BorrowedMessage,
    types::RDKafkaErrorCode,
};
use service_kit::{
    kafka::{self, RawHeader, Topics},
    settings::Settings,
};
use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use uuid::Uuid;

/// How long records are gathered. What was gathered is derived after one more such time: the START of the same request left the
/// service earlier, but by way of a queue and a producer that lets batches fill for some milliseconds, and must stand first in the topic.
const GATHER: Duration = Duration::from_millis(50);
/// How long an idle pipeline waits for a record, and somebody who stops it at most for its end.
const IDLE: Duration = Duration::from_millis(250);
/// For one answer of the broker.
const ANSWER: Duration = Duration::from_secs(10);
/// How far back is looked for what is written, where nothing was noted: by an earlier release, or after the group's offsets were set by hand.
const UNNOTED: Duration = Duration::from_secs(3_600);
/// What a record without its data takes, roughly.
const SMALL: usize = 512;

/// Ours where the operator says nothing else.
const CONSUMER: &[(&str, &str)] = &[
    // A member that died is replaced after as short a time as brokers allow by default.
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "1500"),
    ("partition.assignment.strategy", "range"),
    ("queued.max.messages.kbytes", "4096"),
    ("fetch.wait.max.ms", "100"),
    ("statistics.interval.ms", "5000"),
];
/// What exactly-once stands on.
const CONSUMER_MUST: &[(&str, &str)] = &[
    ("isolation.level", "read_committed"),
    ("enable.auto.commit", "false"),
    ("auto.offset.reset", "earliest"),
];
const PRODUCER_MUST: &[(&str, &str)] = &[("transaction.timeout.ms", "10000"), ("message.timeout.ms", "8000")];

/// What sessions are opened with.
pub(super) struct Configs {
    consumer: ClientConfig,
    producer: ClientConfig,
    group: String,
    topics: Topics,
    level: Level,
}

impl Configs {
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let group = format!("{}rollcall-analytics", settings.topic_prefix);
        let mut consumer = kafka::client_config(settings)?;
        let free = CONSUMER.iter().filter(|(key, _)| !settings.kafka.contains_key(*key));
        consumer.extend(pairs(free.chain(CONSUMER_MUST)));
        consumer.set("group.id", &group);
        let mut producer = kafka::producer_config(settings)?;
        producer.extend(pairs(PRODUCER_MUST.iter()));
        // A transaction as a whole is aborted where another producer would stop.
        producer.remove("enable.gapless.guarantee");
        let topics = Topics::new(&settings.topic_prefix);
        Ok(Self { consumer, producer, group, topics, level: settings.analytics_level })
    }
}

fn pairs<'a>(pairs: impl Iterator<Item = &'a (&'a str, &'a str)>) -> impl Iterator<Item = (String, String)> {
    pairs.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
}

/// A member of the group.
pub(super) struct Session<'a> {
    configs: &'a Configs,
    outcomes: &'a Outcomes,
    consumer: BaseConsumer<Member>,
    /// There while partitions are assigned.
    transactions: Option<Transactions>,
    pending: Pending,
    paused: HashSet<i32>,
    /// What is in the topic already of that which may be derived again.
    written: HashSet<Uuid>,
    doubt: Doubt,
}

/// Which records others may have derived from before this assignment began: those before these offsets. Since when, in milliseconds since 1970.
#[derive(Default)]
pub(super) struct Doubt {
    pub(super) until: BTreeMap<i32, i64>,
    pub(super) since: i64,
}

impl<'a> Session<'a> {
    /// Joins the group.
    pub(super) fn open(configs: &'a Configs, outcomes: &'a Outcomes) -> anyhow::Result<Self> {
        let consumer: BaseConsumer<Member> = configs.consumer.create_with_context(Member::default())?;
        consumer.subscribe(&[&configs.topics.users])?;
        let (pending, paused, written, doubt) = Default::default();
        Ok(Self { configs, outcomes, consumer, transactions: None, pending, paused, written, doubt })
    }

    /// Works until told to stop. No transaction is open between two rounds.
    pub(super) fn run(mut self, is_stopped: impl Fn() -> bool) -> anyhow::Result<()> {
        while !is_stopped() {
            self.pending.ripen();
            self.gather()?;
            self.settle()?;
            self.pause()?;
            anyhow::ensure!(!self.consumer.context().is_lost(), "no broker for long");
            metrics::lag(self.consumer.context().unread() + self.pending.len() as i64);
        }
        Ok(())
    }

    /// Reads what comes within a short time; of an idle log, waits for the first record. Polling is also what keeps this member in
    /// the group, so it goes on while the fold is waited for.
    fn gather(&mut self) -> anyhow::Result<()> {
        let mut end = Instant::now() + if self.pending.is_empty() { IDLE } else { GATHER };
        let mut is_idle = self.pending.is_empty();
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let candidate = match self.consumer.poll(left) {
                Some(Ok(message)) => Some((message.partition(), self.candidate(&message)?)),
                Some(Err(error)) => passing(error).map(|()| None)?,
                None => None,
            };
            if self.take_notice()? {
                // What was read before is read again, or is another member's.
                continue;
            }
            if let Some((partition, candidate)) = candidate {
                self.pending.push(partition, candidate);
                if std::mem::take(&mut is_idle) {
                    end = Instant::now() + GATHER;
                }
            }
        }
        Ok(())
    }

    /// After a rebalance everything starts from the committed offsets, with a producer of the new assignment. Made at once, since a
    /// predecessor's open transaction keeps the offsets from being read. Gives whether there was a rebalance.
    fn take_notice(&mut self) -> anyhow::Result<bool> {
        let Some(partitions) = self.consumer.context().news() else { return Ok(false) };
        self.pending = Pending::default();
        self.resume(&partitions)?;
        self.paused.clear();
        let Configs { producer, group, topics, .. } = self.configs;
        self.transactions = None;
        if let Some(first) = partitions.iter().min() {
            let (source, target) = (&topics.users, &topics.analytics);
            let transactions = Transactions::start(producer, group, *first, source, target)?;
            let member = self.consumer.group_metadata().context("the consumer is no member of a group")?;
            transactions.end_what_hangs(&member).context("what hangs in the topic can't be ended")?;
            self.begin(&partitions)?;
            self.transactions = Some(transactions);
        }
        Ok(true)
    }

    /// Reads on from where the last transaction began, and looks what is written since.
    fn begin(&mut self, partitions: &[i32]) -> anyhow::Result<()> {
        let now = OffsetDateTime::now_utc().unix_timestamp() * 1_000;
        let unnoted = now - UNNOTED.as_millis() as i64;
        let committed = self.committed(partitions)?;
        let Starts { places, since } = starts(&committed, unnoted);
        let written =
            since.map(|since| written::ids(&self.configs.consumer, &self.configs.topics.analytics, since));
        self.written = written.transpose()?.unwrap_or_default();
        let until = committed.iter().map(|committed| (committed.partition, committed.end)).collect();
        self.doubt = Doubt { until, since: since.unwrap_or(now) };
        let mut list = TopicPartitionList::new();
        for (partition, from) in places {
            let from = from.map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(&self.configs.topics.users, partition, from)?;
        }
        Ok(self.consumer.assign(&list)?)
    }

    fn committed(&self, partitions: &[i32]) -> anyhow::Result<Vec<Committed>> {
        let committed = self.consumer.committed_offsets(self.list(partitions), ANSWER)?;
        let all = committed.elements().into_iter().map(|place| {
            let next = match place.offset() {
                Offset::Offset(next) => Some((next, place.metadata().parse().ok())),
                _ => None,
            };
            let (_, end) = self.consumer.fetch_watermarks(place.topic(), place.partition(), ANSWER)?;
            Ok(Committed { partition: place.partition(), next, end })
        });
        all.collect()
    }

    /// A record that is no fact has no SUCCESS: the projector parks or skips it.
    fn candidate(&self, message: &BorrowedMessage<'_>) -> anyhow::Result<Candidate> {
        let level = self.configs.level;
        let derive = |record: UserRecord| {
            let keys = match level {
                Level::Full => self.outcomes.keys_of(&record.key)?,
                Level::Metadata | Level::NonSensitive => KeyRing::new(),
            };
            anyhow::Ok(derive::success(record, level, &keys))
        };
        let success = decode(message).map(derive).transpose()?.flatten();
        let success = success.filter(|success| !self.written.contains(&success.id));
        let data = if level == Level::Full { message.payload_len() } else { 0 };
        Ok(Candidate { offset: message.offset(), success, bytes: SMALL + data })
    }

    /// Commits what is ripe and folded.
    fn settle(&mut self) -> anyhow::Result<()> {
        let Some(transactions) = &self.transactions else { return Ok(()) };
        let rejected = match self.outcomes.rejected(&self.pending.ranges()) {
            Ok(rejected) => rejected,
            Err(error) => {
                tracing::warn!(%error, "the fate of events could not be asked; they wait");
                return Ok(());
            }
        };
        let (settled, successes) = self.pending.settled(&rejected);
        if settled.is_empty() {
            return Ok(());
        }
        let group = self.consumer.group_metadata().context("the consumer is no member of a group")?;
        transactions.commit(&group, &settled, &successes, &self.doubt)?;
        metrics::derived(successes.len());
        self.pending.forget(&settled);
        Ok(())
    }

    /// Does not read further where much is pending, until it no longer is.
    fn pause(&mut self) -> anyhow::Result<()> {
        let full = self.pending.full();
        let resumed: Vec<i32> = self.paused.difference(&full).copied().collect();
        let paused: Vec<i32> = full.difference(&self.paused).copied().collect();
        self.resume(&resumed)?;
        if !paused.is_empty() {
            self.consumer.pause(&self.list(&paused))?;
        }
        self.paused = full;
        Ok(())
    }

    fn resume(&self, partitions: &[i32]) -> anyhow::Result<()> {
        if !partitions.is_empty() {
            self.consumer.resume(&self.list(partitions))?;
        }
        Ok(())
    }

    fn list(&self, partitions: &[i32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.configs.topics.users, *partition);
        }
        list
    }
}

fn decode(message: &BorrowedMessage<'_>) -> Option<UserRecord> {
    // A name that is not UTF-8 makes the record poison, so no success follows from it.
    let header =
        |RawHeader { name, value }| Some((std::str::from_utf8(name).ok()?, value.unwrap_or_default()));
    let headers: Vec<(&str, &[u8])> = kafka::headers(message).map(header).collect::<Option<_>>()?;
    // Imports are many and large: they need not be read to be passed over.
    headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("ce_requestid"))?;
    let key = std::str::from_utf8(message.key()?).ok()?.parse().ok()?;
    let value = serde_json::from_slice(message.payload()?).ok()?;
    decode_user(&key, &headers, value).ok().flatten()
}

/// Errors that the client mends by itself are left to it.
fn passing(error: KafkaError) -> anyhow::Result<()> {
    use RDKafkaErrorCode as Code;
    match error {
        // Asking anew at once finds a topic that has just been created, which the client would do after minutes.
        KafkaError::MessageConsumption(Code::UnknownTopicOrPartition | Code::UnknownTopic)
        | KafkaError::MessageConsumptionFatal(_) => Err(error.into()),
        _ => {
            tracing::debug!(%error, "reading the log for analytics");
            Ok(())
        }
    }
}
