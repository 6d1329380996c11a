//! Waiting for a condition, never for a time.

use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a condition may take to come true. Generous: it only says when to give up.
const BOUND: Duration = Duration::from_secs(60);

/// Asks again and again until `probe` has an answer.
///
/// # Panics
/// The condition has not come true within a minute.
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
