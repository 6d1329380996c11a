//! Questions that come while one is being asked are asked together as the next: under load a few large questions instead of many small ones,
//! and no wait where there is none.

use futures_util::future::BoxFuture;
use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// Asked at the same time: so one that takes long does not hold up all others.
const AT_ONCE: usize = 2;
/// Questions in one, at most.
const MOST: usize = 256;

/// A place where answers of one kind are to be had.
pub(crate) struct Together<Q, A>(Arc<Desk<Q, A>>);

struct Desk<Q, A> {
    /// How long one waits for an answer.
    within: Duration,
    /// Answers several questions, in their order.
    ask: Box<dyn Fn(Vec<Q>) -> BoxFuture<'static, Vec<A>> + Send + Sync>,
    queue: Mutex<Queue<Q, A>>,
}

/// Questions, and where each one's answer goes.
type Asked<Q, A> = (Vec<Q>, Vec<oneshot::Sender<A>>);

struct Queue<Q, A> {
    waiting: VecDeque<(Q, oneshot::Sender<A>)>,
    /// How many are being asked.
    asking: usize,
}

impl<Q: Send + 'static, A: Send + 'static> Together<Q, A> {
    /// `ask` answers several questions, in their order, and must come to an end by itself.
    pub(crate) fn new<F>(within: Duration, ask: impl Fn(Vec<Q>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Vec<A>> + Send + 'static,
    {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), asking: 0 });
        Self(Arc::new(Desk { within, ask: Box::new(move |questions| Box::pin(ask(questions))), queue }))
    }

    /// The answer, by a question that was asked after this call; `None`: there was none in time.
    pub(crate) async fn ask(&self, question: Q) -> Option<A> {
        let (sender, answer) = oneshot::channel();
        if self.0.enqueue(question, sender) {
            tokio::spawn(self.0.clone().go_on());
        }
        tokio::time::timeout(self.0.within, answer).await.ok()?.ok()
    }
}

impl<Q, A> Desk<Q, A> {
    fn queue(&self) -> MutexGuard<'_, Queue<Q, A>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody has to begin to ask.
    fn enqueue(&self, question: Q, sender: oneshot::Sender<A>) -> bool {
        let mut queue = self.queue();
        queue.waiting.push_back((question, sender));
        let begins = queue.asking < AT_ONCE;
        queue.asking += usize::from(begins);
        begins
    }

    /// What is to be asked next, of those who still wait for it; `None`: nothing, and so one asks no more.
    fn next(&self) -> Option<Asked<Q, A>> {
        let mut queue = self.queue();
        queue.waiting.retain(|(_, sender)| !sender.is_closed());
        if queue.waiting.is_empty() {
            queue.asking -= 1;
            return None;
        }
        let most = queue.waiting.len().min(MOST);
        Some(queue.waiting.drain(..most).unzip())
    }

    /// Asks until nobody waits.
    async fn go_on(self: Arc<Self>) {
        while let Some((questions, senders)) = self.next() {
            let broken = Broken(&self);
            let answers = (self.ask)(questions).await;
            std::mem::forget(broken);
            for (sender, answer) in senders.into_iter().zip(answers) {
                // Who does not wait any more needs none.
                let _ = sender.send(answer);
            }
        }
    }
}

/// Dropped where a question did not come to its end, which is a fault of ours: nobody is to wait for it for ever.
struct Broken<'d, Q, A>(&'d Desk<Q, A>);

impl<Q, A> Drop for Broken<'_, Q, A> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.asking -= 1;
        queue.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    const FAULTY: u32 = 1_000;

    /// Doubles numbers, each time that `may` lets it; remembers what it was asked.
    fn doubling(may: &Arc<Semaphore>, asked: &Arc<Mutex<Vec<Vec<u32>>>>) -> Together<u32, u32> {
        let (may, asked) = (may.clone(), asked.clone());
        Together::new(Duration::MAX, move |numbers: Vec<u32>| {
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
        let together = doubling(&may, &asked);
        let answers = async {
            let all = join_all((0..100).map(|n| together.ask(n)));
            tokio::join!(all, async { may.add_permits(100) }).0
        };
        assert_eq!(answers.await, (0..100).map(|n| Some(n * 2)).collect::<Vec<_>>());
        let asked = asked.lock().unwrap();
        assert!(asked.len() <= AT_ONCE + 1, "{asked:?}");
        assert_eq!(asked.concat().len(), 100);
    }

    #[tokio::test]
    async fn one_after_the_other_waits_for_nobody() {
        let (may, asked) = (Arc::new(Semaphore::new(100)), Arc::default());
        let together = doubling(&may, &asked);
        for n in 0..100 {
            assert_eq!(together.ask(n).await, Some(n * 2));
        }
        assert_eq!(asked.lock().unwrap().len(), 100);
    }

    #[tokio::test]
    async fn who_gave_up_is_not_asked_for() {
        let (may, asked) = (Arc::new(Semaphore::new(0)), Arc::default());
        let together = doubling(&may, &asked);
        let mut first = Vec::new();
        for n in 0..3 {
            let mut ask = Box::pin(together.ask(n));
            assert!(futures_util::poll!(&mut ask).is_pending());
            first.push(ask);
        }
        drop(first.pop());
        may.add_permits(10);
        assert_eq!(join_all(first).await, [Some(0), Some(2)]);
        assert_eq!(together.ask(7).await, Some(14));
        assert!(!asked.lock().unwrap().concat().contains(&2));
    }

    #[tokio::test]
    async fn a_fault_leaves_nobody_waiting() {
        let (may, asked) = (Arc::new(Semaphore::new(100)), Arc::default());
        let together = doubling(&may, &asked);
        assert_eq!(together.ask(FAULTY).await, None);
        assert_eq!(together.ask(1).await, Some(2));
    }
}
