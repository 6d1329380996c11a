//! Combines queries. Those that arrive while one runs are combined into the next one: a few large
//! queries under load instead of many small ones, and no added delay without load.

use futures_util::future::BoxFuture;
use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// How many batches run at once, so that a slow one does not hold up all others.
pub(crate) const CONCURRENCY: usize = 2;
/// How many queries a batch has at most.
const MAX_BATCH: usize = 256;

/// Runs queries of one kind in batches.
pub(crate) struct Batcher<Q, A>(Arc<Inner<Q, A>>);

struct Inner<Q, A> {
    /// How long a caller waits for an answer.
    timeout: Duration,
    /// Answers a batch, in order.
    run: Box<dyn Fn(Vec<Q>) -> BoxFuture<'static, Vec<A>> + Send + Sync>,
    queue: Mutex<Queue<Q, A>>,
}

/// A batch, and where each answer goes.
type Batch<Q, A> = (Vec<Q>, Vec<oneshot::Sender<A>>);

struct Queue<Q, A> {
    waiting: VecDeque<(Q, oneshot::Sender<A>)>,
    /// How many batches run.
    running: usize,
}

impl<Q: Send + 'static, A: Send + 'static> Batcher<Q, A> {
    /// `run` answers a batch, in order. It must have its own timeout.
    pub(crate) fn new<F>(timeout: Duration, run: impl Fn(Vec<Q>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Vec<A>> + Send + 'static,
    {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), running: 0 });
        Self(Arc::new(Inner { timeout, run: Box::new(move |queries| Box::pin(run(queries))), queue }))
    }

    /// The answer of a batch that starts after this call. `None` if there is none in time.
    pub(crate) async fn ask(&self, query: Q) -> Option<A> {
        let (sender, answer) = oneshot::channel();
        if self.0.enqueue(query, sender) {
            tokio::spawn(self.0.clone().run_batches());
        }
        tokio::time::timeout(self.0.timeout, answer).await.ok()?.ok()
    }
}

impl<Q, A> Inner<Q, A> {
    fn queue(&self) -> MutexGuard<'_, Queue<Q, A>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the caller must start a task that runs batches.
    fn enqueue(&self, query: Q, sender: oneshot::Sender<A>) -> bool {
        let mut queue = self.queue();
        queue.waiting.push_back((query, sender));
        let starts = queue.running < CONCURRENCY;
        queue.running += usize::from(starts);
        starts
    }

    /// The next batch, of callers that still wait. `None` if there is none; then the task ends.
    fn next(&self) -> Option<Batch<Q, A>> {
        let mut queue = self.queue();
        queue.waiting.retain(|(_, sender)| !sender.is_closed());
        if queue.waiting.is_empty() {
            queue.running -= 1;
            return None;
        }
        let size = queue.waiting.len().min(MAX_BATCH);
        Some(queue.waiting.drain(..size).unzip())
    }

    /// Runs batches until nobody waits.
    async fn run_batches(self: Arc<Self>) {
        while let Some((queries, senders)) = self.next() {
            let guard = PanicGuard(&self);
            let answers = (self.run)(queries).await;
            std::mem::forget(guard);
            for (sender, answer) in senders.into_iter().zip(answers) {
                // The caller may have given up.
                let _ = sender.send(answer);
            }
        }
    }
}

/// Dropped if a batch panicked. Then all waiting callers get `None`, so that none waits for ever.
struct PanicGuard<'d, Q, A>(&'d Inner<Q, A>);

impl<Q, A> Drop for PanicGuard<'_, Q, A> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.running -= 1;
        queue.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    const FAULTY: u32 = 1_000;

    /// Doubles numbers, once for each permit of `may`. Records its queries.
    fn doubling(may: &Arc<Semaphore>, asked: &Arc<Mutex<Vec<Vec<u32>>>>) -> Batcher<u32, u32> {
        let (may, asked) = (may.clone(), asked.clone());
        Batcher::new(Duration::MAX, move |numbers: Vec<u32>| {
            let (may, asked) = (may.clone(), asked.clone());
            async move {
                asked.lock().unwrap().push(numbers.clone());
                may.acquire().await.unwrap().forget();
                assert!(!numbers.contains(&FAULTY), "a fault");
                numbers.into_iter().map(|n| n * 2).collect()
            }
        })
    }

    #[tokio::test]
    async fn what_comes_meanwhile_is_asked_as_one() {
        let (may, asked) = (Arc::new(Semaphore::new(0)), Arc::default());
        let batcher = doubling(&may, &asked);
        let answers = async {
            let all = join_all((0..100).map(|n| batcher.ask(n)));
            tokio::join!(all, async { may.add_permits(100) }).0
        };
        assert_eq!(answers.await, (0..100).map(|n| Some(n * 2)).collect::<Vec<_>>());
        let asked = asked.lock().unwrap();
        assert!(asked.len() <= CONCURRENCY + 1, "{asked:?}");
        assert_eq!(asked.concat().len(), 100);
    }

    #[tokio::test]
    async fn one_after_the_other_waits_for_nobody() {
        let (may, asked) = (Arc::new(Semaphore::new(100)), Arc::default());
        let batcher = doubling(&may, &asked);
        for n in 0..100 {
            assert_eq!(batcher.ask(n).await, Some(n * 2));
        }
        assert_eq!(asked.lock().unwrap().len(), 100);
    }

    #[tokio::test]
    async fn who_gave_up_is_not_asked_for() {
        let (may, asked) = (Arc::new(Semaphore::new(0)), Arc::default());
        let batcher = doubling(&may, &asked);
        let mut first = Vec::new();
        for n in 0..3 {
            let mut ask = Box::pin(batcher.ask(n));
            assert!(futures_util::poll!(&mut ask).is_pending());
            first.push(ask);
        }
        drop(first.pop());
        may.add_permits(10);
        assert_eq!(join_all(first).await, [Some(0), Some(2)]);
        assert_eq!(batcher.ask(7).await, Some(14));
        assert!(!asked.lock().unwrap().concat().contains(&2));
    }

    #[tokio::test]
    async fn a_fault_leaves_nobody_waiting() {
        let (may, asked) = (Arc::new(Semaphore::new(100)), Arc::default());
        let batcher = doubling(&may, &asked);
        assert_eq!(batcher.ask(FAULTY).await, None);
        assert_eq!(batcher.ask(1).await, Some(2));
    }
}
