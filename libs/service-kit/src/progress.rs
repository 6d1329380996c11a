//! How far the live generation has come, partition by partition: by NOTIFY, and by asking where that fails.
//!
//! A notification says which records a batch covered and which of them were rejected, so in the usual case a writer learns the
//! fate of its event without asking anything. Whatever was not heard (a lost connection, a payload that was too long) is asked of
//! the read model.
//!
//! All of it is about one generation. When another becomes the live one, which an announcement of its own gives away, everything is asked
//! anew: it may be of another log, where an offset means another record.

mod level;

pub use level::{CatchingUp, Tail};

use crate::{
    chain,
    database::answered,
    health::Health,
    position::{LogPosition, Position},
};
use level::{Gate, Standing};
use serde::Deserialize;
use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};
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
/// For one answer of the read model.
const ANSWER: Duration = Duration::from_secs(2);
/// How often the listener looks at the read model: what a restore under this process can show at most, and how long a connection
/// that was lost without a word is believed in.
const LOOK: Duration = Duration::from_secs(1);
/// Announcements that are not heard for so long are worth a line: until then the read model's answers stand in for them, and a database that starts
/// or restarts is back.
const DEAF: Duration = Duration::from_secs(10);
/// Rejections that are remembered per partition, so that a waiter that wakes late still finds its own.
const REMEMBERED: usize = 1_024;

/// What the fold made of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It had its effect.
    Accepted,
    /// It had none, and never will.
    Void,
    /// It waits behind one of its user that could not be read, and takes effect if an operator settles that one.
    Parked,
}

impl Outcome {
    /// By what the read model says of a rejected event.
    fn of(reason: Option<&str>) -> Self {
        match reason {
            None => Self::Accepted,
            Some("parked") => Self::Parked,
            Some(_) => Self::Void,
        }
    }
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
    /// The position is of another log than the one that is read now.
    #[error("a position of another log")]
    AnotherLog,
}

/// The log that is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveLog {
    /// Which it is, counted from 1.
    pub epoch: u32,
    /// Its partitions.
    pub partitions: u32,
}

impl LiveLog {
    /// A place in it.
    pub fn position(self, at: Position) -> LogPosition {
        LogPosition { epoch: self.epoch, at }
    }
}

/// What the channel carries: which generation speaks, and unless it says no more than that it has become the live one, what it says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Notice {
    g: i32,
    #[serde(flatten)]
    said: Option<Announcement>,
    /// Where partitions stand whose owner has just proved that they are its own.
    #[serde(default)]
    standings: Vec<Standing>,
}

/// One announcement: the records `from..next` of partition `p` are folded and visible.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Announcement {
    p: u32,
    from: i64,
    next: i64,
    /// Offsets without effect; missing where they did not fit.
    rejected: Option<Vec<i64>>,
    /// Those of them that are parked. A projector of before this member leaves it out.
    parked: Option<Vec<i64>>,
}

impl Announcement {
    /// The records without effect and what became of each; `None` where that must be asked.
    fn without_effect(&self) -> Option<Vec<(i64, Outcome)>> {
        let rejected = self.rejected.as_ref()?;
        let parked = self.parked.as_ref();
        if parked.is_none() && !rejected.is_empty() {
            return None;
        }
        let is_parked = |offset: &i64| parked.is_some_and(|parked| parked.contains(offset));
        let outcome = |offset: &i64| if is_parked(offset) { Outcome::Parked } else { Outcome::Void };
        Some(rejected.iter().map(|offset| (*offset, outcome(offset))).collect())
    }
}

/// What is known of one partition.
#[derive(Debug, Clone, Default)]
struct Known {
    /// The first offset that is not visible yet.
    next: i64,
    /// The records whose fate was heard, without a gap …
    heard: Range<i64>,
    /// … and which of them had no effect, with what became of them.
    rejected: VecDeque<(i64, Outcome)>,
}

impl Known {
    fn hear(&mut self, said: &Announcement) {
        self.next = self.next.max(said.next);
        let Some(rejected) = said.without_effect() else {
            (self.heard, self.rejected) = (said.next..said.next, VecDeque::new());
            return;
        };
        if said.from != self.heard.end {
            (self.heard.start, self.rejected) = (said.from, VecDeque::new());
        }
        self.heard.end = said.next;
        self.rejected.extend(rejected);
        while self.rejected.len() > REMEMBERED {
            self.heard.start =
                self.rejected.pop_front().map_or(self.heard.end, |(forgotten, _)| forgotten + 1);
        }
    }

    fn outcome(&self, offset: i64) -> Option<Outcome> {
        let rejected = self.rejected.iter().find(|(at, _)| *at == offset);
        let outcome = rejected.map_or(Outcome::Accepted, |(_, outcome)| *outcome);
        self.heard.contains(&offset).then_some(outcome)
    }
}

/// What is known of the live generation.
#[derive(Debug, Clone, Default)]
struct Live {
    generation: i32,
    /// Of its log.
    epoch: u32,
    partitions: HashMap<u32, Known>,
    /// When the question was asked that this is the answer to; before that, nothing is known.
    asked: Option<Instant>,
}

impl Live {
    fn log(&self) -> Option<LiveLog> {
        let partitions = u32::try_from(self.partitions.len()).ok().filter(|count| *count > 0)?;
        Some(LiveLog { epoch: self.epoch, partitions })
    }
}

/// Follows the announcements. Cheap to clone.
#[derive(Clone)]
pub struct Progress {
    pool: PgPool,
    live: watch::Receiver<Live>,
    waiting: Arc<Waiting>,
    gate: Arc<Gate>,
}

/// How many wait: while nobody does, the read model is left alone.
#[derive(Default)]
struct Waiting {
    count: AtomicUsize,
    somebody: Notify,
    /// What is known may be of a generation that is not live any more: to be asked without delay.
    doubt: Notify,
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

    /// Until the read model should be asked again.
    async fn again(&self) {
        let a_while_after_somebody = async {
            self.somebody().await;
            tokio::time::sleep(ASK_EVERY).await;
        };
        tokio::select! {
            () = a_while_after_somebody => {}
            () = self.doubt.notified() => {}
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
        let (sender, live) = watch::channel(Live::default());
        let (waiting, gate) = (Arc::new(Waiting::default()), Arc::new(Gate::default()));
        let ear = Ear { live: sender.clone(), waiting: waiting.clone(), gate: gate.clone() };
        tokio::spawn(listen(pool.clone(), ear));
        tokio::spawn(ask(pool.clone(), sender, waiting.clone()));
        Self { pool, live, waiting, gate }
    }

    /// What the read model still lacks of what the log held when this process began to listen; `None`: nothing, so what it says may be
    /// believed. Costs no question.
    pub fn catching_up(&self) -> Option<CatchingUp> {
        self.gate.catching_up()
    }

    /// Adds to what a process needs that the read model has caught up with the log.
    pub fn watch(&self, health: &Health) {
        let progress = self.clone();
        health.add("readModel", move || {
            let missing = progress.catching_up();
            Box::pin(async move { missing.map_or(Ok(()), |missing| Err(missing.to_string())) })
        });
    }

    /// Waits until everything up to and including `position` is visible to every read.
    ///
    /// # Errors
    /// The deadline passed first, there is no such partition, or it is a position of another log.
    pub async fn visible(&self, position: LogPosition, deadline: Instant) -> Result<(), WaitError> {
        self.reached(position, deadline).await.map(|_| ())
    }

    /// The same, and whether the event at that position was accepted.
    ///
    /// # Errors
    /// As `visible`; also where the read model could not be asked before the deadline.
    pub async fn outcome(&self, position: LogPosition, deadline: Instant) -> Result<Outcome, WaitError> {
        match self.reached(position, deadline).await? {
            Some(outcome) => Ok(outcome),
            None => self.ask_outcome(position, deadline).await,
        }
    }

    /// The log that is live, once known.
    ///
    /// # Errors
    /// The deadline passed first.
    pub async fn log(&self, deadline: Instant) -> Result<LiveLog, WaitError> {
        self.until(deadline, Live::log).await
    }

    /// The first offset of a partition of a log that is not known to be folded; 0 where nothing is known.
    pub fn folded(&self, log: LiveLog, partition: u32) -> i64 {
        let live = self.live.borrow();
        let known = live.partitions.get(&partition).filter(|_| live.epoch == log.epoch);
        known.map_or(0, |known| known.next)
    }

    /// Whether an event past `position` was heard to have no effect.
    pub fn has_rejected_since(&self, position: LogPosition) -> bool {
        let live = self.live.borrow();
        let known = live.partitions.get(&position.at.partition).filter(|_| live.epoch == position.epoch);
        known.and_then(|known| known.rejected.back()).is_some_and(|(last, _)| *last > position.at.offset)
    }

    /// Waits for the position; the outcome with it, where it was heard.
    async fn reached(&self, position: LogPosition, deadline: Instant) -> Result<Option<Outcome>, WaitError> {
        let (began, LogPosition { epoch, at: Position { partition, offset } }) = (Instant::now(), position);
        let look = |live: &Live| {
            if live.epoch != epoch {
                return self.is_of_another_log(live, began).then_some(Err(WaitError::AnotherLog));
            }
            match live.partitions.get(&partition) {
                // Which partitions a log has is known at once, or nothing is known yet.
                None => (!live.partitions.is_empty()).then_some(Err(WaitError::NoSuchPartition)),
                Some(known) if offset < known.next => Some(Ok(known.outcome(offset))),
                Some(_) => None,
            }
        };
        self.until(deadline, look).await?
    }

    /// Another instance may know of a new log before this one does: said only of what was asked since the wait began.
    fn is_of_another_log(&self, live: &Live, began: Instant) -> bool {
        let is_certain = live.asked.is_some_and(|asked| asked >= began);
        if !is_certain {
            self.waiting.doubt.notify_one();
        }
        is_certain
    }

    async fn until<T>(
        &self,
        deadline: Instant,
        mut enough: impl FnMut(&Live) -> Option<T>,
    ) -> Result<T, WaitError> {
        let mut found = None;
        let mut live = self.live.clone();
        let wait = async {
            let _waiting = self.waiting.enter();
            let _ = live
                .wait_for(|live| {
                    found = enough(live);
                    found.is_some()
                })
                .await;
        };
        // The condition is looked at before the clock, so a deadline of now asks without waiting.
        let _ = tokio::time::timeout_at(deadline.into(), wait).await;
        found.ok_or(WaitError::TimedOut)
    }

    async fn ask_outcome(&self, position: LogPosition, deadline: Instant) -> Result<Outcome, WaitError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match answered(left.min(ANSWER), rejection(&self.pool, position)).await {
                Ok(Some(reason)) => return Ok(Outcome::of(reason.as_deref())),
                Ok(None) => return Err(WaitError::AnotherLog),
                Err(_) if Instant::now() >= deadline => return Err(WaitError::TimedOut),
                Err(error) => {
                    tracing::warn!(error = chain::told(&error), "the fate of an event could not be asked")
                }
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// Why the event was rejected, if it was. `None`: another log is live by now. The views are locked before the statement's snapshot is
/// taken, so both are of one generation.
async fn rejection(pool: &PgPool, position: LogPosition) -> sqlx::Result<Option<Option<String>>> {
    let LogPosition { epoch, at: Position { partition, offset } } = position;
    sqlx::query_scalar(
        "SELECT (SELECT reason FROM live.rejections WHERE partition = $1 AND log_offset = $2) \
         FROM rollcall.generations WHERE state = 'live' AND log_epoch = $3",
    )
    .bind(i32::try_from(partition).unwrap_or(-1))
    .bind(offset)
    .bind(i32::try_from(epoch).unwrap_or(-1))
    .fetch_optional(pool)
    .await
}

/// Who hears the announcements, and what they are told to.
struct Ear {
    live: watch::Sender<Live>,
    waiting: Arc<Waiting>,
    gate: Arc<Gate>,
}

/// Hears the announcements.
async fn listen(pool: PgPool, ear: Ear) {
    let mut deaf = Deaf::default();
    while !ear.live.is_closed() {
        let ended = listen_once(&pool, &ear, &mut deaf).await;
        if let Some(deaf_for) = deaf.ended(Instant::now()) {
            let error = ended.err().map(|error| chain::told(&error));
            tracing::warn!(
                error,
                seconds = deaf_for.as_secs(),
                "announcements are not heard; the read model is asked instead"
            );
        }
        // Not in place of a condition: how long to leave a database alone that just refused.
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// For how long announcements are not heard, and whether that was said.
#[derive(Default)]
struct Deaf {
    since: Option<Instant>,
    is_told: bool,
}

impl Deaf {
    /// They are heard.
    fn hears(&mut self) {
        if std::mem::take(self).is_told {
            tracing::info!("announcements are heard again");
        }
    }

    /// A connection has ended, or there was none. For how long nothing has been heard, where that is to be said: once, and not of what is soon over.
    fn ended(&mut self, now: Instant) -> Option<Duration> {
        let since = *self.since.get_or_insert(now);
        let deaf = now.saturating_duration_since(since);
        (deaf >= DEAF && !std::mem::replace(&mut self.is_told, true)).then_some(deaf)
    }
}

/// Until the connection is lost, or what was heard on it may be from before a restore.
async fn listen_once(pool: &PgPool, ear: &Ear, deaf: &mut Deaf) -> sqlx::Result<()> {
    // Of its own, so that it is not one of those that requests wait for.
    let alone = PgPoolOptions::new().max_connections(1).acquire_timeout(ANSWER);
    let options = (*pool.connect_options()).clone().application_name("rollcall progress");
    let mut listener = PgListener::connect_with(&alone.connect_lazy_with(options)).await?;
    answered(ANSWER, listener.listen(CHANNEL)).await?;
    deaf.hears();
    loop {
        let asked = Instant::now();
        let rows = answered(ANSWER, partitions(&mut listener)).await?;
        if ear.look(&rows, asked) {
            return Ok(());
        }
        let Some(()) = ear.hear_until(asked + LOOK, &mut listener).await? else { return Ok(()) };
    }
}

impl Ear {
    /// Takes in what the read model shows; whether it was restored.
    fn look(&self, rows: &[level::Row], asked: Instant) -> bool {
        let went_back = self.gate.look(rows);
        if went_back {
            tracing::warn!(
                "the read model went back: it was restored. Reads wait until it has caught up with the log"
            );
        }
        let of_users = rows.iter().filter(|(.., topic, _, _)| topic == "users");
        let rows: Vec<Checkpoint> =
            of_users.map(|(g, epoch, _, partition, next)| (*g, *epoch, *partition, *next)).collect();
        self.live.send_if_modified(|live| {
            if went_back {
                *live = Live::default();
            }
            learn(live, &rows, asked)
        });
        went_back
    }

    /// Hears for a while; `None`: the connection was lost, and announcements with it.
    async fn hear_until(&self, end: Instant, listener: &mut PgListener) -> sqlx::Result<Option<()>> {
        while Instant::now() < end {
            let Ok(heard) = tokio::time::timeout_at(end.into(), listener.try_recv()).await else { break };
            let Some(notification) = heard? else { return Ok(None) };
            let Ok(notice) = serde_json::from_str::<Notice>(notification.payload()) else { continue };
            self.gate.hear(notice.g, &notice.standings);
            if let Some(said) = &notice.said {
                self.gate.moved(notice.g, i32::try_from(said.p).unwrap_or(-1), said.next);
            }
            self.live.send_if_modified(|live| hear(live, &notice, &self.waiting));
        }
        Ok(Some(()))
    }
}

async fn partitions(listener: &mut PgListener) -> sqlx::Result<Vec<level::Row>> {
    sqlx::query_as("SELECT generation, log_epoch, topic, partition, next_offset FROM live.checkpoints")
        .fetch_all(listener)
        .await
}

fn hear(live: &mut Live, notice: &Notice, waiting: &Waiting) -> bool {
    if notice.g != live.generation {
        waiting.doubt.notify_one();
        return false;
    }
    let Some(said) = &notice.said else { return false };
    // Before the first answer of the read model one partition would look like all of them.
    let Some(known) = live.partitions.get_mut(&said.p) else { return false };
    known.hear(said);
    true
}

/// Asks the read model at the start, in doubt, and while somebody waits for longer than an announcement takes.
async fn ask(pool: PgPool, live: watch::Sender<Live>, waiting: Arc<Waiting>) {
    while !live.is_closed() {
        let asked = Instant::now();
        match answered(ANSWER, checkpoints(&pool)).await {
            Ok(rows) => drop(live.send_if_modified(|live| learn(live, &rows, asked))),
            Err(error) => {
                tracing::warn!(error = chain::told(&error), "the projector's progress could not be asked")
            }
        }
        if live.borrow().partitions.is_empty() {
            tokio::time::sleep(ASK_EVERY).await;
        } else {
            waiting.again().await;
        }
    }
}

/// A checkpoint of the live generation: generation, epoch of its log, partition, first offset that is not visible.
type Checkpoint = (i32, i32, i32, i64);

async fn checkpoints(pool: &PgPool) -> sqlx::Result<Vec<Checkpoint>> {
    sqlx::query_as(
        "SELECT generation, log_epoch, partition, next_offset FROM live.checkpoints WHERE topic = 'users'",
    )
    .fetch_all(pool)
    .await
}

/// What is heard while the answer is on its way may be further than the answer; of another generation it is nothing.
fn learn(live: &mut Live, rows: &[Checkpoint], asked: Instant) -> bool {
    let Some((generation, epoch, ..)) = rows.first() else { return false };
    if *generation != live.generation {
        live.partitions.clear();
    }
    live.generation = *generation;
    live.epoch = u32::try_from(*epoch).unwrap_or_default();
    live.asked = Some(asked);
    for (.., partition, next) in rows {
        let Ok(partition) = u32::try_from(*partition) else { continue };
        let known = live.partitions.entry(partition).or_default();
        known.next = known.next.max(*next);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lasting_silence_is_told_and_once() {
        let (now, mut deaf) = (Instant::now(), Deaf::default());
        assert_eq!(deaf.ended(now), None, "a database that restarts");
        deaf.hears();
        assert_eq!(deaf.ended(now + DEAF), None, "counted from here on");
        assert_eq!(deaf.ended(now + 2 * DEAF), Some(DEAF));
        assert_eq!(deaf.ended(now + 3 * DEAF), None);
        deaf.hears();
        assert!(!deaf.is_told && deaf.since.is_none());
    }

    fn said(from: i64, next: i64, rejected: Option<&[i64]>) -> Announcement {
        Announcement { p: 0, from, next, rejected: rejected.map(<[i64]>::to_vec), parked: Some(Vec::new()) }
    }

    #[test]
    fn what_was_heard_without_a_gap_needs_no_asking() {
        let mut known = Known { next: 10, ..Known::default() };
        known.hear(&said(10, 12, Some(&[11])));
        known.hear(&said(12, 13, Some(&[])));
        assert_eq!(known.outcome(9), None);
        assert_eq!(known.outcome(10), Some(Outcome::Accepted));
        assert_eq!(known.outcome(11), Some(Outcome::Void));
        assert_eq!(known.outcome(12), Some(Outcome::Accepted));
        assert_eq!(known.outcome(13), None);
    }

    #[test]
    fn what_is_parked_is_told_from_what_is_void() {
        let mut known = Known::default();
        known.hear(&Announcement { parked: Some(vec![4]), ..said(0, 6, Some(&[3, 4])) });
        let outcomes = [3, 4, 5].map(|offset| known.outcome(offset));
        assert_eq!(outcomes, [Some(Outcome::Void), Some(Outcome::Parked), Some(Outcome::Accepted)]);
        known.hear(&Announcement { parked: None, ..said(6, 8, Some(&[7])) });
        assert_eq!((known.next, known.outcome(7)), (8, None), "an older projector does not say which it is");
        assert_eq!(Outcome::of(Some("deleted")), Outcome::Void);
        assert_eq!((Outcome::of(Some("parked")), Outcome::of(None)), (Outcome::Parked, Outcome::Accepted));
    }

    #[test]
    fn a_gap_or_a_missing_list_must_be_asked() {
        let mut known = Known::default();
        known.hear(&said(0, 5, Some(&[])));
        known.hear(&said(7, 9, Some(&[8])));
        assert_eq!((known.outcome(4), known.outcome(8)), (None, Some(Outcome::Void)));
        known.hear(&said(9, 20, None));
        assert_eq!((known.next, known.outcome(8), known.outcome(19)), (20, None, None));
    }

    #[test]
    fn an_announcement_that_comes_late_takes_nothing_back() {
        let mut known = Known { next: 9, ..Known::default() };
        known.hear(&said(5, 7, Some(&[6])));
        assert_eq!((known.next, known.outcome(6), known.outcome(8)), (9, Some(Outcome::Void), None));
    }

    #[test]
    fn forgets_the_oldest_rejections_and_what_they_proved() {
        let mut known = Known::default();
        let all: Vec<i64> = (0..=1_024).collect();
        known.hear(&said(0, 1_025, Some(&all)));
        assert_eq!((known.outcome(0), known.outcome(1)), (None, Some(Outcome::Void)));
    }

    fn notice(payload: &str) -> Notice {
        serde_json::from_str(payload).unwrap()
    }

    #[test]
    fn another_generation_is_known_from_its_beginning() {
        let (mut live, now, waiting) = (Live::default(), Instant::now(), Waiting::default());
        learn(&mut live, &[(1, 1, 0, 50), (1, 1, 1, 7)], now);
        assert_eq!(live.log(), Some(LiveLog { epoch: 1, partitions: 2 }));
        let other = notice(r#"{"g":2,"p":0,"from":2,"next":60,"rejected":[]}"#);
        assert!(!hear(&mut live, &other, &waiting), "nothing is learned from it but doubt");
        assert_eq!(live.partitions[&0].next, 50);
        learn(&mut live, &[(2, 2, 0, 3)], now);
        assert_eq!((live.log(), live.partitions[&0].next), (Some(LiveLog { epoch: 2, partitions: 1 }), 3));
        assert!(hear(&mut live, &notice(r#"{"g":2,"p":0,"from":3,"next":4}"#), &waiting));
        learn(&mut live, &[(2, 2, 0, 3)], now);
        assert_eq!(live.partitions[&0].next, 4, "an answer that comes late takes nothing back");
    }

    #[test]
    fn a_notice_may_say_no_more_than_its_generation() {
        assert_eq!(notice(r#"{"g":2}"#), Notice { g: 2, said: None, standings: Vec::new() });
        let full = notice(r#"{"g":2,"p":1,"from":3,"next":5,"rejected":[3,4],"parked":[4]}"#);
        let (rejected, parked) = (Some(vec![3, 4]), Some(vec![4]));
        assert_eq!(full.said, Some(Announcement { p: 1, from: 3, next: 5, rejected, parked }));
    }
}
