//! The signal to stop.

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use service_kit::server::stop_signal;
use tokio::signal::unix::{SignalKind, signal};

/// Can be awaited in several places, and again after it has happened.
pub(crate) type Stop = Shared<BoxFuture<'static, ()>>;

/// Completes on Ctrl-C, SIGTERM, or when the terminal is closed.
pub(crate) fn stop() -> anyhow::Result<Stop> {
    let mut hangup = signal(SignalKind::hangup())?;
    let stop = async move {
        tokio::select! {
            () = stop_signal() => {}
            _ = hangup.recv() => {}
        }
    };
    Ok(stop.boxed().shared())
}
