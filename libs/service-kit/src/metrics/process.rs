//! The `process_*` metrics that Prometheus clients export, read from `/proc`.
//!
//! The `process` feature of the `prometheus` crate exports the same, but compiles all of `procfs`
//! for it.

use prometheus::{IntCounter, IntGauge, register_int_counter, register_int_gauge};
use std::{fs, sync::LazyLock};

/// Clock ticks per second in `/proc`: 100 on every architecture that Rust supports.
const TICKS_PER_SECOND: u64 = 100;

struct Metrics {
    cpu_seconds: IntCounter,
    open_fds: IntGauge,
    max_fds: IntGauge,
    virtual_memory: IntGauge,
    resident_memory: IntGauge,
    start_time: IntGauge,
    threads: IntGauge,
}

static METRICS: LazyLock<Option<Metrics>> = LazyLock::new(|| register().ok());

fn register() -> prometheus::Result<Metrics> {
    let metrics = Metrics {
        cpu_seconds: register_int_counter!(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds."
        )?,
        open_fds: register_int_gauge!("process_open_fds", "Number of open file descriptors.")?,
        max_fds: register_int_gauge!("process_max_fds", "Maximum number of open file descriptors.")?,
        virtual_memory: register_int_gauge!("process_virtual_memory_bytes", "Virtual memory size in bytes.")?,
        resident_memory: register_int_gauge!(
            "process_resident_memory_bytes",
            "Resident memory size in bytes."
        )?,
        start_time: register_int_gauge!(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds."
        )?,
        threads: register_int_gauge!("process_threads", "Number of OS threads in the process.")?,
    };
    if let Some(seconds) = start_time() {
        metrics.start_time.set(seconds);
    }
    Ok(metrics)
}

/// Reads the current values. A value that can't be read keeps its last one.
pub(super) fn refresh() {
    let Some(metrics) = METRICS.as_ref() else { return };
    if let Ok(fds) = fs::read_dir("/proc/self/fd") {
        metrics.open_fds.set(i64::try_from(fds.count()).unwrap_or(i64::MAX));
    }
    let status = read("/proc/self/status");
    let set = |gauge: &IntGauge, value: Option<i64>| value.into_iter().for_each(|value| gauge.set(value));
    set(&metrics.virtual_memory, member(&status, "VmSize:").map(|kib| kib * 1_024));
    set(&metrics.resident_memory, member(&status, "VmRSS:").map(|kib| kib * 1_024));
    set(&metrics.threads, member(&status, "Threads:"));
    set(&metrics.max_fds, member(&read("/proc/self/limits"), "Max open files"));
    // Fields 14 and 15: time in user mode and in the kernel.
    if let (Some(user), Some(system)) = (stat_field(14), stat_field(15)) {
        let total = (user + system) / TICKS_PER_SECOND;
        // Two scrapes at once may have counted the same seconds already.
        metrics.cpu_seconds.inc_by(total.saturating_sub(metrics.cpu_seconds.get()));
    }
}

/// Seconds since the epoch: boot time plus field 22, the ticks from boot to start.
fn start_time() -> Option<i64> {
    let boot = member(&read("/proc/stat"), "btime")?;
    Some(boot + i64::try_from(stat_field(22)? / TICKS_PER_SECOND).ok()?)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The first number in the line that starts with `name`.
fn member(text: &str, name: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A field of `/proc/self/stat`, counted from 1 as in proc(5). The second one is the program's name
/// in parentheses and may itself hold spaces.
fn stat_field(number: usize) -> Option<u64> {
    let text = read("/proc/self/stat");
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_described() {
        refresh();
        let metrics = METRICS.as_ref().unwrap();
        for gauge in [
            &metrics.open_fds,
            &metrics.max_fds,
            &metrics.virtual_memory,
            &metrics.resident_memory,
            &metrics.threads,
        ] {
            assert!(gauge.get() > 0);
        }
        assert!(metrics.start_time.get() > 1_600_000_000);
        assert!(metrics.virtual_memory.get() > metrics.resident_memory.get());
    }

    #[test]
    fn an_unlimited_or_missing_number_is_none() {
        assert_eq!(member("Max open files            1024   4096   files\n", "Max open files"), Some(1_024));
        assert_eq!(member("Max open files            unlimited\n", "Max open files"), None);
        assert_eq!(member("", "VmRSS:"), None);
    }
}
