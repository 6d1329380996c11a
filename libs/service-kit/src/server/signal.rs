//! The signals that stop the process.

use std::future;
use tokio::signal::unix::{SignalKind, signal};

/// Resolves at the first SIGTERM or Ctrl-C.
pub async fn stop_signal() {
    tokio::select! {
        () = arrival(SignalKind::terminate()) => {}
        () = arrival(SignalKind::interrupt()) => {}
    }
}

async fn arrival(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        Err(error) => {
            tracing::error!(%error, "can't listen for a signal");
            future::pending().await
        }
    }
}
