//! The process' metrics, Prometheus text at `/metrics`: the default registry of the `prometheus` crate.
//!
//! A crate that counts something makes its own `LazyLock<IntCounter>` with `prometheus::register_*!` beside the code that counts.
// STUB: helper S1 (HTTP histogram by route template, method and status; text encoding).
