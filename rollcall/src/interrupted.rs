//! Ctrl-C or SIGTERM during a verb. The verb ends at once, and says what it leaves and what to run
//! next.

use crate::local::progress::say;
use std::{
    io::{IsTerminal as _, stderr},
    process,
};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

/// What a verb leaves that only reads.
pub(crate) const NOTHING: &str = "nothing was changed";

/// Ends the process when a signal comes. `left` is what the verb leaves.
///
/// On a thread of the runtime, because the verb may block its own.
pub(crate) fn watch(runtime: &Runtime, left: String) -> anyhow::Result<()> {
    let _entered = runtime.enter();
    let signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    runtime.spawn(async move {
        let code = arrival(signals).await;
        // The terminal has printed ^C, perhaps behind a bar.
        let line = if stderr().is_terminal() { "\n" } else { "" };
        say(format_args!("{line}rollcall: interrupted: {left}"));
        process::exit(code)
    });
    Ok(())
}

/// Waits for a signal. Returns the exit code that shells know it by.
async fn arrival((mut interrupt, mut terminate): (Signal, Signal)) -> i32 {
    tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    }
}
