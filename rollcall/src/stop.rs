//! The moment to stop.

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use service_kit::server::stop_signal;
use tokio::signal::unix::{SignalKind, signal};

/// May be waited for in several places, and again when it is past.
pub(crate) type Stop = Shared<BoxFuture<'static, ()>>;

/// Ctrl-C, SIGTERM, or the end of the terminal.
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
