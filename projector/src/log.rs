//! The consumer's thread: records go down one bounded channel, so back-pressure is natural. Offsets are asked of the fold loop, which has
//! them from Postgres; those that Kafka keeps are only for its own tools.

mod reading;

use self::reading::Reading;
use crate::{catch_up::CatchUp, open::OpenTransactions};
use event_log::{
    log_ends::{BROKER_TIMEOUT, Ends, name_of, topic_of},
    record::Record,
};
use events_schema::Partition;
use rdkafka::{
    ClientConfig, ClientContext, Message as _, Offset, Statistics, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};
use service_kit::{
    kafka::{self, Contact, Topics},
    settings::Settings,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};

/// Records that wait between the consumer and the fold.
const QUEUE: usize = 1_024;
/// How long a poll waits for a record; a record that comes ends it at once.
const POLL: Duration = Duration::from_millis(100);
/// A broker that says nothing for so long, though it is asked all the time, is not there.
const SILENCE: Duration = Duration::from_secs(4);
/// How often Kafka is told how far the fold has come.
const TELL: Duration = Duration::from_secs(5);

/// What the consumer has to say.
pub(crate) enum Event {
    /// A record.
    Record(Box<Record>),
    /// A partition has no record from the last one up to here, and never will: control records and aborted transactions lie there.
    Reached {
        /// The partition.
        partition: Partition,
        /// The first offset behind them.
        next: i64,
    },
    /// These partitions are ours: from where are they to be read?
    Assigned {
        /// The partitions with the ends of their logs.
        partitions: BTreeMap<Partition, Ends>,
        /// Takes the offsets.
        reply: oneshot::Sender<BTreeMap<Partition, i64>>,
    },
    /// No partition is ours until the next assignment.
    Revoked,
}

/// Offsets by partition, shared between the fold and the consumer.
pub(crate) type Offsets = Arc<Mutex<BTreeMap<Partition, i64>>>;

/// What both sides see.
#[derive(Clone, Default)]
pub(crate) struct Shared {
    stop: Arc<AtomicBool>,
    rejoin: Arc<AtomicBool>,
    reassign: Arc<AtomicBool>,
    /// Whether the brokers can be reached.
    pub(crate) is_up: Arc<AtomicBool>,
    /// Up to where the fold has come.
    pub(crate) folded: Offsets,
    /// The ends of the logs.
    pub(crate) ends: Offsets,
    /// What other producers have open there.
    pub(crate) open: Arc<Mutex<OpenTransactions>>,
    /// What was there to be folded when the partitions were taken over.
    pub(crate) catch_up: CatchUp,
}

impl Shared {
    /// Why this projector is not level with what the log held when it took its partitions over, if it is not.
    pub(crate) fn behind(&self) -> Option<String> {
        self.catch_up.reason(&self.folded.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The consumer in its thread.
pub(crate) struct Consumer {
    /// What both sides see.
    pub(crate) shared: Shared,
    /// What the consumer has to say.
    pub(crate) events: mpsc::Receiver<Event>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Context {
    topics: Topics,
    events: mpsc::Sender<Event>,
    shared: Shared,
    contact: Arc<Contact>,
    reading: Arc<Mutex<Reading>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        tracing::warn!(%error, reason, "kafka");
        self.seen(false);
    }

    fn stats(&self, statistics: Statistics) {
        let lives = |broker: &rdkafka::statistics::Broker| {
            // One that is frozen keeps its connections.
            broker.state == "UP" && broker.nodeid >= 0 && broker.rxidle < SILENCE.as_micros() as i64
        };
        let up = statistics.brokers.values().any(lives);
        self.seen(up);
        let mut ends = locked(&self.shared.ends);
        let (mut open, reading, now) =
            (locked(&self.shared.open), locked(&self.reading), OffsetDateTime::now_utc());
        for (name, topic) in &statistics.topics {
            let Some(ours) = topic_of(&self.topics, name) else { continue };
            for (number, partition) in &topic.partitions {
                if partition.ls_offset >= 0 {
                    ends.insert((ours, *number), partition.ls_offset);
                }
                if reading.has((ours, *number)) {
                    open.saw((ours, *number), partition.ls_offset, partition.hi_offset, now);
                }
            }
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => {
                self.reads(&BTreeMap::new());
                let _ = self.events.blocking_send(Event::Revoked);
                consumer.unassign()
            }
        };
        if let Err(error) = done {
            tracing::warn!(%error, "an assignment was not taken");
        }
    }
}

impl Context {
    fn seen(&self, is_up: bool) {
        self.shared.is_up.store(is_up, Ordering::Relaxed);
        self.contact.seen(is_up);
    }

    fn reads(&self, offsets: &BTreeMap<Partition, i64>) {
        locked(&self.shared.open).clear();
        locked(&self.reading).assigned(offsets);
    }

    /// Asks the fold loop for the offsets and assigns at them; blocks until it answers.
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaError> {
        let Some(partitions) = self.ends(consumer, list) else { return consumer.unassign() };
        self.seen(true);
        let (reply, answer) = oneshot::channel();
        let asked = self.events.blocking_send(Event::Assigned { partitions, reply });
        let offsets = asked.ok().and_then(|()| answer.blocking_recv().ok());
        let Some(offsets) = offsets else { return consumer.unassign() };
        self.reads(&offsets);
        let mut assignment = TopicPartitionList::new();
        for ((topic, partition), offset) in offsets {
            let name = name_of(&self.topics, topic);
            assignment.add_partition_offset(name, partition, Offset::Offset(offset))?;
        }
        consumer.assign(&assignment)
    }

    fn ends(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> Option<BTreeMap<Partition, Ends>> {
        let mut partitions = BTreeMap::new();
        for element in list.elements() {
            let Some(topic) = topic_of(&self.topics, element.topic()) else { continue };
            let ends = loop {
                match consumer.fetch_watermarks(element.topic(), element.partition(), BROKER_TIMEOUT) {
                    Ok((low, high)) => break Ends { low, high },
                    Err(error) => tracing::warn!(%error, "the ends of the log can't be asked"),
                }
                if self.shared.stop.load(Ordering::Relaxed) {
                    return None;
                }
                std::thread::sleep(Duration::from_millis(200));
            };
            partitions.insert((topic, element.partition()), ends);
        }
        Some(partitions)
    }
}

impl Consumer {
    /// Joins the group in a thread of its own; `partitions` is how many each topic has.
    ///
    /// # Errors
    /// The settings don't make a client.
    pub(crate) fn start(settings: &Settings, partitions: u32, shared: Shared) -> anyhow::Result<Self> {
        let (sender, events) = mpsc::channel(QUEUE);
        let topics = Topics::new(&settings.topic_prefix);
        let context = Context {
            topics: topics.clone(),
            events: sender.clone(),
            shared: shared.clone(),
            contact: Arc::default(),
            reading: Arc::default(),
        };
        let mut config = kafka::client_config(settings)?;
        config
            .set("group.id", format!("{}rollcall-projector", settings.topic_prefix))
            .set("partition.assignment.strategy", "range")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            // What lies before the end may be no record: the mark of a transaction.
            .set("enable.partition.eof", "true")
            // Longer than a broker that was killed takes to be back: it finds us a member still, and nobody waits for a dead one.
            .set("session.timeout.ms", "6000")
            // Whoever is to give partitions up hears of it with its next heartbeat, and the others wait until then.
            .set("heartbeat.interval.ms", "500")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.min.bytes", "1")
            .set("queued.min.messages", "20000")
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.queue.backoff.ms", "10")
            .set("statistics.interval.ms", "2000");
        let consumer = config.create_with_context(context)?;
        let thread = Thread { config, consumer, topics, events: sender, partitions };
        thread.subscribe()?;
        let thread = std::thread::Builder::new().name("projector-log".into()).spawn(move || thread.run())?;
        Ok(Self { shared, events, thread: Some(thread) })
    }

    /// Leaves the group and joins it again: another owner has been there, so the group knows better.
    pub(crate) fn rejoin(&self) {
        self.shared.rejoin.store(true, Ordering::Relaxed);
    }

    /// Has the same partitions asked for again, to be read from other offsets.
    pub(crate) fn reassign(&self) {
        self.shared.reassign.store(true, Ordering::Relaxed);
    }

    /// Leaves the group and ends the thread.
    pub(crate) async fn stop(mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // What the thread still wants to say is not heard, and a question not answered.
        drop(self.events);
        if let Some(thread) = self.thread.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        self.shared.stop.store(false, Ordering::Relaxed);
    }
}

struct Thread {
    config: ClientConfig,
    consumer: BaseConsumer<Context>,
    topics: Topics,
    events: mpsc::Sender<Event>,
    partitions: u32,
}

impl Thread {
    fn run(mut self) {
        let shared = self.consumer.context().shared.clone();
        let mut told = Instant::now();
        while !shared.stop.load(Ordering::Relaxed) && !self.events.is_closed() {
            self.poll(&shared);
            self.obey(&shared);
            if self.consumer.context().contact.is_lost() {
                self.begin_anew();
            }
            if told.elapsed() > TELL {
                self.tell(&shared);
                told = Instant::now();
            }
        }
        self.tell(&shared);
    }

    fn subscribe(&self) -> Result<(), KafkaError> {
        self.consumer.subscribe(&[&self.topics.users, &self.topics.credentials])
    }

    /// Replaces a client that may not find the brokers again.
    fn begin_anew(&mut self) {
        tracing::warn!("no broker for long: the log's consumer is made anew");
        self.replace_client();
    }

    /// Leaves the group with this client and joins it with a new one. The old client gives up its partitions
    /// before the new one asks for any: otherwise their revocation would arrive after their assignment.
    fn replace_client(&mut self) {
        let context = Context::clone(self.consumer.context());
        match self.config.create_with_context(context) {
            Ok(new) => drop(std::mem::replace(&mut self.consumer, new)),
            Err(error) => return tracing::error!(%error, "the log's consumer can't be made anew"),
        }
        if let Err(error) = self.subscribe() {
            tracing::warn!(%error, "the group was not joined");
        }
    }

    fn poll(&self, shared: &Shared) {
        match self.consumer.poll(POLL) {
            Some(Ok(message)) => {
                self.consumer.context().seen(true);
                let Some(topic) = topic_of(&self.topics, message.topic()) else { return };
                let record = Record::read(topic, &message, self.partitions);
                locked(&self.consumer.context().reading).record(record.partition, record.offset);
                let _ = self.events.blocking_send(Event::Record(Box::new(record)));
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => self.at_end(partition),
            Some(Err(error)) => {
                tracing::warn!(%error, "the log can't be read");
                let code = error.rdkafka_error_code();
                if matches!(
                    code,
                    Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
                ) {
                    // The offset that was asked for is not there: the fold loop looks at the ends and says why.
                    shared.reassign.store(true, Ordering::Relaxed);
                }
            }
            None => {}
        }
    }

    /// A partition of one of the topics is read to its end; the client does not say of which. Its position is past control records and aborted
    /// transactions, which it does not hand over. It is no former assignment's: the client begins to read the partitions of an assignment
    /// once those of the former one have stopped, which resets their positions, and drops what it still had of them.
    fn at_end(&self, partition: i32) {
        let context = self.consumer.context();
        context.seen(true);
        let positions = self.consumer.position().inspect_err(|error| tracing::warn!(%error, "no position"));
        for element in positions.iter().flat_map(TopicPartitionList::elements) {
            let Some(topic) = topic_of(&self.topics, element.topic()) else { continue };
            let Offset::Offset(next) = element.offset() else { continue };
            let place = (topic, element.partition());
            if element.partition() == partition && locked(&context.reading).is_further(place, next) {
                let _ = self.events.blocking_send(Event::Reached { partition: place, next });
            }
        }
    }

    fn obey(&mut self, shared: &Shared) {
        if shared.rejoin.swap(false, Ordering::Relaxed) {
            shared.reassign.store(false, Ordering::Relaxed);
            // Not by unsubscribing and subscribing: librdkafka (2.12.1) defers a subscription while a rebalance
            // is open, and aborts the process where the client is closed before the rebalance is over.
            self.replace_client();
            return;
        }
        let done = if shared.reassign.swap(false, Ordering::Relaxed) {
            let context = self.consumer.context().clone();
            self.consumer.assignment().and_then(|list| match list.count() {
                0 => Ok(()),
                _ => context.assign(&self.consumer, &list),
            })
        } else {
            Ok(())
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the group was not joined again");
        }
    }

    /// Tells Kafka how far the fold has come, for tools that show lag.
    fn tell(&self, shared: &Shared) {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), next) in shared.folded.lock().unwrap_or_else(PoisonError::into_inner).iter()
        {
            let _ =
                list.add_partition_offset(name_of(&self.topics, *topic), *partition, Offset::Offset(*next));
        }
        if list.count() > 0 {
            let _ = self.consumer.commit(&list, CommitMode::Async);
        }
    }
}
