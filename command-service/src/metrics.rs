//! The metrics of the command service.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntGauge, register_histogram, register_int_counter,
    register_int_gauge,
};
use std::{sync::LazyLock, time::Duration};

// Registration fails only if a name is taken. Then that metric is missing and nothing else breaks.
static APPEND: LazyLock<Option<Histogram>> = LazyLock::new(|| {
    histogram("rollcall_log_append_seconds", "Time until the log acknowledged an event", &SECONDS)
});
static WAIT: LazyLock<Option<Histogram>> = LazyLock::new(|| {
    histogram(
        "rollcall_visible_wait_seconds",
        "Time from the acknowledgement of an event until every read shows it",
        &SECONDS,
    )
});
static ATTEMPTS: LazyLock<Option<Histogram>> =
    LazyLock::new(|| histogram("rollcall_write_tries", "Events that one write appended", &ATTEMPT_COUNTS));
static SUPERSEDED: LazyLock<Option<IntCounter>> = LazyLock::new(|| {
    counter("rollcall_superseded_total", "Events that were rejected because another writer's came first")
});
static LOCK: LazyLock<Option<Histogram>> = LazyLock::new(|| {
    histogram(
        "rollcall_turn_wait_seconds",
        "Time that a write waited for other writes of its user in this process",
        &SECONDS,
    )
});
static AWAY: LazyLock<Option<IntCounter>> = LazyLock::new(|| {
    counter("rollcall_refused_while_away_total", "Writes refused at once because the log is unavailable")
});
static UNCONFIRMED: LazyLock<Option<IntGauge>> = LazyLock::new(|| {
    register_int_gauge!(
        "rollcall_uncertain_appends",
        "Unconfirmed appends: it is not known yet whether their events are in the log"
    )
    .ok()
});
static UNRESOLVED: LazyLock<Option<IntCounter>> = LazyLock::new(|| {
    counter("rollcall_unresolved_appends_total", "Unconfirmed appends that were given up unresolved")
});
static MISSING_KEYS: LazyLock<Option<IntCounter>> = LazyLock::new(|| {
    counter(
        "rollcall_command_missing_keys_total",
        "Writes refused because the user's key is missing although the user was not deleted",
    )
});

const SECONDS: [f64; 13] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
const ATTEMPT_COUNTS: [f64; 6] = [1.0, 2.0, 3.0, 5.0, 8.0, 16.0];

fn histogram(name: &str, help: &str, buckets: &[f64]) -> Option<Histogram> {
    register_histogram!(HistogramOpts::new(name, help).buckets(buckets.to_vec())).ok()
}

fn counter(name: &str, help: &str) -> Option<IntCounter> {
    register_int_counter!(name, help).ok()
}

/// Registers all metrics, so that they are exposed at zero.
pub(crate) fn register() {
    let _ = (&*APPEND, &*WAIT, &*ATTEMPTS, &*SUPERSEDED, &*LOCK, &*AWAY, &*UNCONFIRMED, &*UNRESOLVED);
    let _ = &*MISSING_KEYS;
}

pub(crate) fn appended(took: Duration) {
    APPEND.iter().for_each(|histogram| histogram.observe(took.as_secs_f64()));
}

pub(crate) fn waited(took: Duration) {
    WAIT.iter().for_each(|histogram| histogram.observe(took.as_secs_f64()));
}

pub(crate) fn attempts(attempts: u32) {
    ATTEMPTS.iter().for_each(|histogram| histogram.observe(f64::from(attempts)));
}

pub(crate) fn superseded() {
    SUPERSEDED.iter().for_each(IntCounter::inc);
}

pub(crate) fn waited_for_lock(took: Duration) {
    LOCK.iter().for_each(|histogram| histogram.observe(took.as_secs_f64()));
}

pub(crate) fn refused_while_unavailable() {
    AWAY.iter().for_each(IntCounter::inc);
}

/// Changes the number of unconfirmed appends.
pub(crate) fn unconfirmed(change: i64) {
    UNCONFIRMED.iter().for_each(|gauge| gauge.add(change));
}

pub(crate) fn unresolved() {
    UNRESOLVED.iter().for_each(IntCounter::inc);
}

pub(crate) fn missing_key() {
    MISSING_KEYS.iter().for_each(IntCounter::inc);
}
