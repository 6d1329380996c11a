//! How far the live generation has come, partition by partition: by NOTIFY, and by asking where that fails.
//!
//! A notification says which records a batch covered and which of them were rejected, so in the usual case a writer learns the
//! fate of its event without asking anything. Whatever was not heard (a lost connection, a payload that was too long) is asked of
//! the read model.

use crate::position::Position;
use serde::Deserialize;
use sqlx::{PgPool, postgres::PgListener};
use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

/// The channel on which the projector announces.
pub const CHANNEL: &str = "rollcall_progress";
/// How often the read model is asked while somebody waits: what a lost notification costs at most.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Rejections that are remembered per partition, so that a waiter that wakes late still finds its own.
const REMEMBERED: usize = 1_024;

/// What the fold made of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It had its effect.
    Accepted,
    /// It had none.
    Rejected,
}

/// Why a wait ended without an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The deadline passed.
    #[error("not visible in time")]
    TimedOut,
    /// There is no such partition.
    #[error("no such partition")]
    NoSuchPartition,
}

/// One announcement: the records `from..next` of partition `p` are folded and visible.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Announcement {
    p: u32,
    from: i64,
    next: i64,
    /// Offsets without effect; missing where they did not fit.
    rejected: Option<Vec<i64>>,
}

/// What is known of one partition.
#[derive(Debug, Clone, Default)]
struct Known {
    /// The first offset that is not visible yet.
    next: i64,
    /// The records whose fate was heard, without a gap …
    heard: Range<i64>,
    /// … and which of them had no effect.
    rejected: VecDeque<i64>,
}

impl Known {
    fn hear(&mut self, said: &Announcement) {
        self.next = self.next.max(said.next);
        let Some(rejected) = &said.rejected else {
            (self.heard, self.rejected) = (said.next..said.next, VecDeque::new());
            return;
        };
        if said.from != self.heard.end {
            (self.heard.start, self.rejected) = (said.from, VecDeque::new());
        }
        self.heard.end = said.next;
        self.rejected.extend(rejected);
        while self.rejected.len() > REMEMBERED {
            self.heard.start = self.rejected.pop_front().map_or(self.heard.end, |forgotten| forgotten + 1);
        }
    }

    fn outcome(&self, offset: i64) -> Option<Outcome> {
        let rejected = self.rejected.contains(&offset);
        self.heard.contains(&offset).then_some(if rejected { Outcome::Rejected } else { Outcome::Accepted })
    }
}

type Partitions = HashMap<u32, Known>;

/// Follows the announcements. Cheap to clone.
#[derive(Clone)]
pub struct Progress {
    pool: PgPool,
    known: watch::Receiver<Partitions>,
    waiting: Arc<Waiting>,
}

/// How many wait: while nobody does, the read model is left alone.
#[derive(Default)]
struct Waiting {
    count: AtomicUsize,
    somebody: Notify,
}

impl Waiting {
    fn enter(&self) -> WaitingGuard<'_> {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.somebody.notify_one();
        WaitingGuard(self)
    }

    async fn somebody(&self) {
        while self.count.load(Ordering::SeqCst) == 0 {
            self.somebody.notified().await;
        }
    }
}

struct WaitingGuard<'a>(&'a Waiting);

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Progress {
    /// Starts to follow; reconnects for ever by itself.
    pub fn start(pool: PgPool) -> Self {
        let (sender, known) = watch::channel(Partitions::new());
        let waiting = Arc::new(Waiting::default());
        tokio::spawn(listen(pool.clone(), sender.clone()));
        tokio::spawn(ask(pool.clone(), sender, waiting.clone()));
        Self { pool, known, waiting }
    }

    /// Waits until everything up to and including `position` is visible to every read.
    ///
    /// # Errors
    /// The deadline passed first, or there is no such partition.
    pub async fn visible(&self, position: Position, deadline: Instant) -> Result<(), WaitError> {
        self.reached(position, deadline).await.map(|_| ())
    }

    /// The same, and whether the event at that position was accepted.
    ///
    /// # Errors
    /// As `visible`; also where the read model could not be asked before the deadline.
    pub async fn outcome(&self, position: Position, deadline: Instant) -> Result<Outcome, WaitError> {
        match self.reached(position, deadline).await? {
            Some(outcome) => Ok(outcome),
            None => self.ask_outcome(position, deadline).await,
        }
    }

    /// The number of partitions of the log, once known.
    ///
    /// # Errors
    /// The deadline passed first.
    pub async fn partitions(&self, deadline: Instant) -> Result<u32, WaitError> {
        self.until(deadline, |known| u32::try_from(known.len()).ok().filter(|count| *count > 0)).await
    }

    /// Waits for the position; the outcome with it, where it was heard.
    async fn reached(&self, position: Position, deadline: Instant) -> Result<Option<Outcome>, WaitError> {
        self.until(deadline, |partitions| match partitions.get(&position.partition) {
            // Which partitions there are is known at once and for ever, or nothing is known yet.
            None => (!partitions.is_empty()).then_some(Err(WaitError::NoSuchPartition)),
            Some(known) if position.offset < known.next => Some(Ok(known.outcome(position.offset))),
            Some(_) => None,
        })
        .await?
    }

    async fn until<T>(
        &self,
        deadline: Instant,
        mut enough: impl FnMut(&Partitions) -> Option<T>,
    ) -> Result<T, WaitError> {
        let mut found = None;
        let mut known = self.known.clone();
        let wait = async {
            let _waiting = self.waiting.enter();
            let _ = known
                .wait_for(|partitions| {
                    found = enough(partitions);
                    found.is_some()
                })
                .await;
        };
        // The condition is looked at before the clock, so a deadline of now asks without waiting.
        let _ = tokio::time::timeout_at(deadline.into(), wait).await;
        found.ok_or(WaitError::TimedOut)
    }

    async fn ask_outcome(&self, position: Position, deadline: Instant) -> Result<Outcome, WaitError> {
        loop {
            let asked = tokio::time::timeout_at(deadline.into(), is_rejected(&self.pool, position)).await;
            match asked.map_err(|_| WaitError::TimedOut)? {
                Ok(true) => return Ok(Outcome::Rejected),
                Ok(false) => return Ok(Outcome::Accepted),
                Err(error) => tracing::warn!(%error, "the fate of an event could not be asked"),
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

async fn is_rejected(pool: &PgPool, at: Position) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM live.rejections WHERE partition = $1 AND log_offset = $2)",
    )
    .bind(i32::try_from(at.partition).unwrap_or(-1))
    .bind(at.offset)
    .fetch_one(pool)
    .await
}

/// Hears the announcements.
async fn listen(pool: PgPool, known: watch::Sender<Partitions>) {
    while !known.is_closed() {
        if let Err(error) = listen_once(&pool, &known).await {
            tracing::warn!(%error, "announcements are not heard; the read model is asked instead");
        }
        // Not in place of a condition: how long to leave a database alone that just refused.
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn listen_once(pool: &PgPool, known: &watch::Sender<Partitions>) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    // `try_recv` says when the connection was lost, and with it announcements.
    while let Some(notification) = listener.try_recv().await? {
        if let Ok(said) = serde_json::from_str::<Announcement>(notification.payload()) {
            known.send_if_modified(|partitions| hear(partitions, &said));
        }
    }
    Ok(())
}

fn hear(partitions: &mut Partitions, said: &Announcement) -> bool {
    // Before the first answer of the read model one partition would look like all of them.
    let Some(known) = partitions.get_mut(&said.p) else { return false };
    known.hear(said);
    true
}

/// Asks the read model at the start, and while somebody waits for longer than an announcement takes.
async fn ask(pool: PgPool, known: watch::Sender<Partitions>, waiting: Arc<Waiting>) {
    while !known.is_closed() {
        match positions(&pool).await {
            Ok(rows) => {
                known.send_if_modified(|partitions| learn(partitions, &rows));
            }
            Err(error) => tracing::warn!(%error, "the projector's progress could not be asked"),
        }
        if !known.borrow().is_empty() {
            waiting.somebody().await;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn positions(pool: &PgPool) -> sqlx::Result<Vec<(i32, i64)>> {
    sqlx::query_as("SELECT partition, next_offset FROM live.checkpoints WHERE topic = 'users'")
        .fetch_all(pool)
        .await
}

fn learn(partitions: &mut Partitions, rows: &[(i32, i64)]) -> bool {
    let mut changed = false;
    for (partition, next) in rows {
        let Ok(partition) = u32::try_from(*partition) else { continue };
        let known = partitions.entry(partition).or_insert_with(|| {
            changed = true;
            Known::default()
        });
        changed |= *next > known.next;
        known.next = known.next.max(*next);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(from: i64, next: i64, rejected: Option<&[i64]>) -> Announcement {
        Announcement { p: 0, from, next, rejected: rejected.map(<[i64]>::to_vec) }
    }

    #[test]
    fn what_was_heard_without_a_gap_needs_no_asking() {
        let mut known = Known { next: 10, ..Known::default() };
        known.hear(&said(10, 12, Some(&[11])));
        known.hear(&said(12, 13, Some(&[])));
        assert_eq!(known.outcome(9), None);
        assert_eq!(known.outcome(10), Some(Outcome::Accepted));
        assert_eq!(known.outcome(11), Some(Outcome::Rejected));
        assert_eq!(known.outcome(12), Some(Outcome::Accepted));
        assert_eq!(known.outcome(13), None);
    }

    #[test]
    fn a_gap_or_a_missing_list_must_be_asked() {
        let mut known = Known::default();
        known.hear(&said(0, 5, Some(&[])));
        known.hear(&said(7, 9, Some(&[8])));
        assert_eq!((known.outcome(4), known.outcome(8)), (None, Some(Outcome::Rejected)));
        known.hear(&said(9, 20, None));
        assert_eq!((known.next, known.outcome(8), known.outcome(19)), (20, None, None));
    }

    #[test]
    fn an_announcement_that_comes_late_takes_nothing_back() {
        let mut known = Known { next: 9, ..Known::default() };
        known.hear(&said(5, 7, Some(&[6])));
        assert_eq!((known.next, known.outcome(6), known.outcome(8)), (9, Some(Outcome::Rejected), None));
    }

    #[test]
    fn forgets_the_oldest_rejections_and_what_they_proved() {
        let mut known = Known::default();
        let all: Vec<i64> = (0..=1_024).collect();
        known.hear(&said(0, 1_025, Some(&all)));
        assert_eq!((known.outcome(0), known.outcome(1)), (None, Some(Outcome::Rejected)));
    }
}
