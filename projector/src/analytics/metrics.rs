//! The metrics of the pipeline.

use prometheus::{IntCounter, IntGauge, register_int_counter, register_int_gauge};
use std::sync::LazyLock;

// Registering fails only if the name is taken. Then nothing is counted.
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
        "Records of the assigned partitions of users.events from which no SUCCESS has been derived yet"
    )
    .ok()
});

/// Shows the metrics at zero.
pub(super) fn register() {
    LazyLock::force(&DERIVED);
    LazyLock::force(&LAG);
}

/// Counts derived events.
pub(super) fn count_derived(count: usize) {
    DERIVED.iter().for_each(|derived| derived.inc_by(count as u64));
}

/// Sets the lag.
pub(super) fn set_lag(records: i64) {
    LAG.iter().for_each(|lag| lag.set(records));
}
