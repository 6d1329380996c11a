//! Waits for conditions, never for a fixed time.

use std::time::Duration;
use tokio::time::{Instant, sleep};

/// When to give up. Generous, because a slow machine must not fail tests.
const BOUND: Duration = Duration::from_secs(60);

/// Repeats `probe` until it returns a value.
///
/// # Panics
/// It does not within a minute.
pub async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + BOUND;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < give_up, "it never came true: {what}");
        sleep(Duration::from_millis(25)).await;
    }
}
