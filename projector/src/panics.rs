//! Panics on threads of the projector.
//!
//! A panic is a bug, and the panic hook has logged its place. A thread that ended with it would
//! leave a process that looks healthy and folds nothing. Therefore the work starts again from what
//! is committed, as after a failure. Ending the process would do more harm: in `rollcall run` it
//! also serves all requests, and nothing may be there to start it again.

use crate::stop::{Interrupt, StopSignal};
use futures_util::FutureExt as _;
use std::{panic::AssertUnwindSafe, time::Duration};

/// The pause before work that panicked starts again. It may panic again.
const PAUSE: Duration = Duration::from_secs(1);

/// The error of work that panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the code panicked")]
pub(crate) struct Panicked;

/// Runs a future. Nothing that it has changed may be used after a panic, except to end it.
pub(crate) async fn catch<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|_| Panicked)
}

/// The same for code that blocks.
pub(crate) fn catch_blocking<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked)
}

/// Waits before work that panicked starts again.
///
/// # Errors
/// [`Interrupt::Stopping`].
pub(crate) async fn pause(stop: &StopSignal) -> Result<(), Interrupt> {
    stop.run_until_stopped(tokio::time::sleep(PAUSE)).await
}

/// Runs work until it ends, and again whenever it panics.
///
/// # Errors
/// Those of the work, and [`Interrupt::Stopping`].
pub(crate) async fn repeat<T>(
    stop: &StopSignal,
    mut work: impl AsyncFnMut() -> Result<T, Interrupt>,
) -> Result<T, Interrupt> {
    loop {
        if let Ok(ended) = catch(Box::pin(work())).await {
            return ended;
        }
        pause(stop).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_repeated_until_it_does_not_panic() {
        let (_sender, stop) = StopSignal::new();
        let mut runs = 0;
        let ended = repeat(&stop, async || {
            runs += 1;
            assert!(runs > 1, "as a bug would");
            Ok(runs)
        });
        assert_eq!(ended.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_stop_ends_the_repetition() {
        let (sender, stop) = StopSignal::new();
        sender.send_replace(true);
        let ended = repeat(&stop, async || -> Result<(), Interrupt> { panic!("as a bug would") });
        assert!(matches!(ended.await, Err(Interrupt::Stopping)));
    }

    #[test]
    fn code_that_blocks_may_panic_too() {
        assert_eq!(catch_blocking(|| 1), Ok(1));
        assert_eq!(catch_blocking(|| -> u8 { panic!("as a bug would") }), Err(Panicked));
    }
}
