//! Filters what the Kafka client logs. During an outage it repeats the same few lines many times a
//! second.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// The client's own lines, and those of `rdkafka` about it. Our lines about single errors of the
/// client use the first.
const TARGETS: [&str; 2] = ["librdkafka", "rdkafka::client"];
/// How often a line may be repeated.
const INTERVAL: Duration = Duration::from_secs(10);
/// How many different lines are remembered.
const MAX_LINES: usize = 1_000;

/// Drops a line that was logged less than ten seconds ago. Lines that differ only in numbers count as
/// the same. Also drops warnings about settings for the other kind of client: every client gets all of
/// `ROLLCALL_KAFKA__…`, so a producer warns about consumer settings and the reverse.
#[derive(Default)]
pub(super) struct KafkaLines(Mutex<HashMap<String, Instant>>);

impl<S: Subscriber> Layer<S> for KafkaLines {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        if !TARGETS.contains(&event.metadata().target()) {
            return true;
        }
        let mut message = Message::default();
        event.record(&mut message);
        self.is_due(&message.0, Instant::now())
    }
}

impl KafkaLines {
    fn is_due(&self, message: &str, now: Instant) -> bool {
        if message.contains("CONFWARN") && message.contains("will be ignored by this") {
            return false;
        }
        let line = message.chars().filter(|c| !c.is_ascii_digit()).collect();
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= MAX_LINES {
            lines.clear();
        }
        let is_due = lines.get(&line).is_none_or(|last| now.saturating_duration_since(*last) >= INTERVAL);
        if is_due {
            lines.insert(line, now);
        }
        is_due
    }
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_repeated_after_a_while() {
        let (lines, now) = (KafkaLines::default(), Instant::now());
        assert!(lines.is_due("broker 1 is down after 3 ms", now));
        assert!(!lines.is_due("broker 1 is down after 57 ms", now + INTERVAL / 2));
        assert!(lines.is_due("broker 1 is up", now + INTERVAL / 2));
        assert!(lines.is_due("broker 1 is down after 8 ms", now + INTERVAL));
    }

    #[test]
    fn settings_for_another_kind_of_client_are_no_warning() {
        let text = "CONFWARN Configuration property linger.ms is a producer property and will be ignored by this consumer instance";
        assert!(!KafkaLines::default().is_due(text, Instant::now()));
    }
}
