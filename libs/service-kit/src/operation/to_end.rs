//! Work that goes on when nobody waits for it any more.

use futures_util::FutureExt as _;
use std::{
    any::Any,
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::runtime::Handle;

type Outcome<T> = Result<T, Box<dyn Any + Send>>;

/// Work that runs to its end. Whoever awaits it runs it, which spares each request a task and its
/// way between two threads. Dropped before its end, it goes on as a task of `runtime`. A panic of
/// the work is its outcome.
pub(super) struct ToEnd<T: Send + 'static> {
    work: Option<Pin<Box<dyn Future<Output = Outcome<T>> + Send>>>,
    runtime: Handle,
}

impl<T: Send + 'static> ToEnd<T> {
    pub(super) fn new(runtime: &Handle, work: impl Future<Output = T> + Send + 'static) -> Self {
        // Whoever panics has recorded it, and nothing of the work is used afterwards.
        let work = AssertUnwindSafe(work).catch_unwind();
        Self { work: Some(Box::pin(work)), runtime: runtime.clone() }
    }
}

impl<T: Send + 'static> Future for ToEnd<T> {
    type Output = Outcome<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let outcome = work.as_mut().poll(context);
        if outcome.is_ready() {
            self.work = None;
        }
        outcome
    }
}

impl<T: Send + 'static> Drop for ToEnd<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.runtime.spawn(work);
        }
    }
}
