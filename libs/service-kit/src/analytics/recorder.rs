//! The request's side of the queue.

use super::{
    draft::{Data, Draft, RequestContext},
    producer,
    tally::Tally,
};
use crate::{kafka::Topics, settings::Settings};
use events_schema::analytics::{AnalyticEvent, Level, Operation, Phase};
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::sync::mpsc;

/// How long a shutdown waits for the delivery of events.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// How many events may wait. Fewer at level 3, where they may be large.
fn capacity(level: Level) -> usize {
    if level == Level::Full { 4_096 } else { 65_536 }
}

/// Hands events to the producer. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    level: Level,
    /// `None` if nothing is recorded.
    queue: Option<mpsc::Sender<Draft>>,
    tally: Arc<Tally>,
}

impl Recorder {
    /// Starts the producer and its queue.
    ///
    /// # Errors
    /// The Kafka client can't be created.
    pub fn start(settings: &Settings) -> anyhow::Result<Self> {
        let (recorder, queue) = Self::queue(settings.analytics_level);
        let topic = Topics::new(&settings.topic_prefix).analytics;
        producer::start(producer::config(settings)?, topic, queue, recorder.tally.clone())?;
        Ok(recorder)
    }

    /// A recorder whose events go to a channel instead of the log. For tests and embedding.
    pub fn to_channel(level: Level) -> (Self, Events) {
        let (recorder, queue) = Self::queue(level);
        let tally = recorder.tally.clone();
        (recorder, Events { queue, tally })
    }

    /// A recorder that records nothing. The benchmark measures with it what events cost.
    pub fn off() -> Self {
        Self { level: Level::Metadata, queue: None, tally: Arc::new(Tally::new()) }
    }

    fn queue(level: Level) -> (Self, mpsc::Receiver<Draft>) {
        let (queue, drafts) = mpsc::channel(capacity(level));
        (Self { level, queue: Some(queue), tally: Arc::new(Tally::new()) }, drafts)
    }

    /// Whether level 3 is on. If not, a caller need not collect `full`.
    pub fn records_full_data(&self) -> bool {
        self.level == Level::Full
    }

    /// Queues an event. If the queue is full, the event is dropped and counted
    /// (`rollcall_analytics_dropped_total`), and a warning is logged at intervals.
    pub fn record(&self, context: &Arc<RequestContext>, operation: Operation, phase: Phase, data: Data) {
        let Some(queue) = &self.queue else { return };
        self.tally.queued();
        // Reserve first: an event that will be dropped need not be built.
        match queue.try_reserve() {
            Ok(place) => place.send(Draft {
                context: context.clone(),
                operation,
                phase,
                at: OffsetDateTime::now_utc(),
                data: data.at(self.level),
            }),
            Err(_) => self.tally.dropped("the queue is full"),
        }
    }

    /// Waits a limited time until all queued events have been delivered.
    pub async fn flush(&self) {
        if tokio::time::timeout(FLUSH_TIMEOUT, self.tally.all_settled()).await.is_err() {
            tracing::warn!("some analytic events were not delivered in time");
        }
    }
}

/// The events of [`Recorder::to_channel`], in order.
pub struct Events {
    queue: mpsc::Receiver<Draft>,
    tally: Arc<Tally>,
}

impl Events {
    /// Waits for the next event. `None` if every recorder is gone.
    pub async fn next(&mut self) -> Option<AnalyticEvent> {
        self.queue.recv().await.map(|draft| self.settle(draft))
    }

    /// The next event if one is queued.
    pub fn try_next(&mut self) -> Option<AnalyticEvent> {
        self.queue.try_recv().ok().map(|draft| self.settle(draft))
    }

    fn settle(&self, draft: Draft) -> AnalyticEvent {
        self.tally.sent();
        draft.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::proto::MetricType;

    fn context() -> Arc<RequestContext> {
        Arc::new(RequestContext {
            request_id: "r".to_owned(),
            request_ip: None,
            tenant: "acme".parse().unwrap(),
            client_id: None,
            traceparent: "t".to_owned(),
        })
    }

    fn dropped() -> f64 {
        let families = prometheus::gather();
        let family = families.iter().find(|f| f.name() == "rollcall_analytics_dropped_total").unwrap();
        assert_eq!(family.get_field_type(), MetricType::COUNTER);
        family.get_metric()[0].get_counter().get_value()
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_waits() {
        let (recorder, mut events) = Recorder::to_channel(Level::Full);
        let before = dropped();
        for _ in 0..capacity(Level::Full) + 7 {
            recorder.record(&context(), Operation::Retrieve, Phase::Start, Data::default());
        }
        assert!(dropped() >= before + 7.0);
        let kept = std::iter::from_fn(|| events.try_next()).count();
        assert_eq!(kept, capacity(Level::Full));
    }

    #[tokio::test]
    async fn flush_waits_for_what_is_queued() {
        let (recorder, mut events) = Recorder::to_channel(Level::NonSensitive);
        recorder.record(&context(), Operation::Retrieve, Phase::Start, Data::default());
        let (event, ()) = tokio::join!(events.next(), recorder.flush());
        assert_eq!(event.unwrap().event_type, "USER_RETRIEVE_START");
    }
}
