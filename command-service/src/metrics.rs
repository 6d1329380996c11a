//! What the service counts.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntGauge, register_histogram, register_int_counter,
    register_int_gauge,
};
use std::{sync::LazyLock, time::Duration};

// Registering fails only where a name is taken; then that is not counted, and nothing else suffers.
static APPEND: LazyLock<Option<Histogram>> = LazyLock::new(|| {
    histogram("rollcall_log_append_seconds", "Time until the log has taken an event", &SECONDS)
});
static WAIT: LazyLock<Option<Histogram>> = LazyLock::new(|| {
    histogram(
        "rollcall_visible_wait_seconds",
        "Time until an appended event is visible to every read",
        &SECONDS,
    )
});
static TRIES: LazyLock<Option<Histogram>> =
    LazyLock::new(|| histogram("rollcall_write_tries", "Events that one write has appended", &TRY_COUNTS));
static SUPERSEDED: LazyLock<Option<IntCounter>> = LazyLock::new(|| {
    register_int_counter!("rollcall_superseded_total", "Events of ours that the fold found without effect")
        .ok()
});
static TURN: LazyLock<Option<Histogram>> = LazyLock::new(|| {
    histogram(
        "rollcall_turn_wait_seconds",
        "Time that a write waits for the other writers of its user",
        &SECONDS,
    )
});
static AWAY: LazyLock<Option<IntCounter>> = LazyLock::new(|| {
    register_int_counter!(
        "rollcall_refused_while_away_total",
        "Writes refused at once because the log is away"
    )
    .ok()
});
static UNCERTAIN: LazyLock<Option<IntGauge>> = LazyLock::new(|| {
    register_int_gauge!(
        "rollcall_uncertain_appends",
        "Appends of which it is not known yet whether they are in the log"
    )
    .ok()
});
static UNRESOLVED: LazyLock<Option<IntCounter>> = LazyLock::new(|| {
    register_int_counter!("rollcall_unresolved_appends_total", "Uncertain appends that were given up").ok()
});
static MISSING_KEYS: LazyLock<Option<IntCounter>> = LazyLock::new(|| {
    register_int_counter!(
        "rollcall_command_missing_keys_total",
        "Writes refused because the user's key is missing, and nothing says that the user was deleted"
    )
    .ok()
});

const SECONDS: [f64; 13] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
const TRY_COUNTS: [f64; 6] = [1.0, 2.0, 3.0, 5.0, 8.0, 16.0];

fn histogram(name: &str, help: &str, buckets: &[f64]) -> Option<Histogram> {
    register_histogram!(HistogramOpts::new(name, help).buckets(buckets.to_vec())).ok()
}

/// Makes all of them visible at zero.
pub(crate) fn show() {
    let _ = (&*APPEND, &*WAIT, &*TRIES, &*SUPERSEDED, &*TURN, &*AWAY, &*UNCERTAIN, &*UNRESOLVED);
    let _ = &*MISSING_KEYS;
}

pub(crate) fn appended(took: Duration) {
    APPEND.iter().for_each(|histogram| histogram.observe(took.as_secs_f64()));
}

pub(crate) fn waited(took: Duration) {
    WAIT.iter().for_each(|histogram| histogram.observe(took.as_secs_f64()));
}

pub(crate) fn tried(times: u32) {
    TRIES.iter().for_each(|histogram| histogram.observe(f64::from(times)));
}

pub(crate) fn superseded() {
    SUPERSEDED.iter().for_each(IntCounter::inc);
}

pub(crate) fn took_turn(waited: Duration) {
    TURN.iter().for_each(|histogram| histogram.observe(waited.as_secs_f64()));
}

pub(crate) fn refused_while_away() {
    AWAY.iter().for_each(IntCounter::inc);
}

/// So many more, or fewer, uncertain appends are open.
pub(crate) fn uncertain(more: i64) {
    UNCERTAIN.iter().for_each(|gauge| gauge.add(more));
}

pub(crate) fn unresolved() {
    UNRESOLVED.iter().for_each(IntCounter::inc);
}

pub(crate) fn missing_key() {
    MISSING_KEYS.iter().for_each(IntCounter::inc);
}
