//! Request duration by route template, method and status.

use prometheus::{Histogram, HistogramOpts, HistogramVec};
use std::{cell::RefCell, collections::HashMap, sync::LazyLock, time::Duration};

const BUCKETS: [f64; 14] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

static DURATION: LazyLock<Option<HistogramVec>> = LazyLock::new(|| {
    let options = HistogramOpts::new("rollcall_http_request_duration_seconds", "Time to answer a request.");
    prometheus::register_histogram_vec!(options.buckets(BUCKETS.to_vec()), &["route", "method", "status"])
        .ok()
});

/// The histograms of one route.
type Route = Vec<((&'static str, u16), Histogram)>;

thread_local! {
    /// Looking up a histogram by its labels costs more than counting, so each worker caches the
    /// ones it has used.
    static SEEN: RefCell<HashMap<String, Route>> = RefCell::default();
}

/// Counts a request. `method` is from a closed list.
pub(crate) fn observe(route: &str, method: &'static str, status: u16, took: Duration) {
    SEEN.with_borrow_mut(|seen| {
        if !seen.contains_key(route) {
            seen.insert(route.to_owned(), Route::new());
        }
        let Some(histograms) = seen.get_mut(route) else { return };
        if let Some((_, histogram)) = histograms.iter().find(|(labels, _)| *labels == (method, status)) {
            return histogram.observe(took.as_secs_f64());
        }
        if let Some(histogram) = histogram(route, method, status) {
            histogram.observe(took.as_secs_f64());
            histograms.push(((method, status), histogram));
        }
    });
}

fn histogram(route: &str, method: &str, status: u16) -> Option<Histogram> {
    let all = DURATION.as_ref()?;
    all.get_metric_with_label_values(&[route, method, &status.to_string()]).ok()
}
