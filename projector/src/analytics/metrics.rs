//! What the pipeline counts.

use prometheus::{IntCounter, IntGauge, register_int_counter, register_int_gauge};
use std::sync::LazyLock;

// Registering fails only where the name is taken; then nothing is counted, and nothing else suffers.
static DERIVED: LazyLock<Option<IntCounter>> = LazyLock::new(|| {
    register_int_counter!(
        "rollcall_analytics_derived_total",
        "SUCCESS events derived from the log and committed"
    )
    .ok()
});
static LAG: LazyLock<Option<IntGauge>> = LazyLock::new(|| {
    register_int_gauge!(
        "rollcall_analytics_lag_records",
        "Records of the assigned partitions of users.events that no SUCCESS has been derived from yet"
    )
    .ok()
});

/// Makes them visible at zero.
pub(super) fn show() {
    LazyLock::force(&DERIVED);
    LazyLock::force(&LAG);
}

pub(super) fn derived(count: usize) {
    DERIVED.iter().for_each(|derived| derived.inc_by(count as u64));
}

pub(super) fn lag(records: i64) {
    LAG.iter().for_each(|lag| lag.set(records));
}
