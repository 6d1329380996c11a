//! The pipeline of a write. [`Writer::write`] is the loop; each step has a file of its own.
//!
//! 1. lock: wait for other writers of the same user in this process ([`user_lock`]).
//! 2. load: read the user from the read model ([`load`]).
//! 3. decide: turn command and state into an event ([`decide`]), and get the key that will seal it
//!    ([`data_key`]).
//! 4. append: seal the event and write it to the log ([`append`]).
//! 5. await: wait until the projector has folded it ([`projection`]). A delete also waits until
//!    the user is erased ([`await_erasure`]).
//!
//! If another writer's event took the same sequence, the loop starts over at step 2. A write that
//! is answered 202 or 503 is not over: [`resolve`] finds out its outcome afterwards.

mod append;
mod await_erasure;
mod data_key;
mod decide;
mod load;
mod projection;
pub(crate) mod resolve;
mod user_lock;

pub(crate) use append::{Appended, SentEvent};
pub(crate) use load::Users;
pub(crate) use projection::Projection;
pub(crate) use user_lock::{UserLock, UserLocks};

use crate::{keys::DataKeys, log::Log, metrics, problems};
use domain::{
    command::{Command, User},
    decide::Refusal,
    precondition::Precondition,
};
use event_log::identity_watch::IdentityWatch;
use events_schema::UserKey;
use key_store::Keys;
use read_model::{WriteOutcome, read::user_before_write::LoadedUser};
use resolve::UnconfirmedAppends;
use service_kit::{operation::Call, position::LogPosition, problem::Problem};
use std::{sync::Arc, time::Instant};
use user_lock::back_off;

/// How many events a write appends at most. An attempt that loses takes a few milliseconds, so the
/// deadline usually ends a write before this limit does.
const MAX_ATTEMPTS: u32 = 64;

/// Executes writes.
pub(crate) struct Writer {
    pub(crate) log: Arc<Log>,
    pub(crate) log_watch: IdentityWatch,
    pub(crate) users: Users,
    pub(crate) keys: Keys,
    pub(crate) data_keys: DataKeys,
    pub(crate) projection: Projection,
    pub(crate) locks: UserLocks,
    pub(crate) follow_ups: resolve::FollowUps,
    pub(crate) unconfirmed: UnconfirmedAppends,
}

/// One write.
pub(crate) struct Write {
    pub(crate) key: UserKey,
    pub(crate) command: Command,
    pub(crate) precondition: Option<Precondition>,
    /// Whether to answer as soon as the event is in the log.
    pub(crate) is_async: bool,
}

/// A write whose event is in the log.
pub(crate) enum Written {
    /// The event took effect.
    Accepted(Appended),
    /// The write is answered before its end: the outcome is not known yet, the event is parked, or
    /// it lost and the user could not be loaded again. The lock is held until the outcome is known,
    /// so that the next writer of the user does not append in vain.
    Pending(Appended, Option<UserLock>),
}

/// Why a write failed.
pub(crate) enum Failure {
    /// The command was refused. Each operation words the problem itself.
    Refused {
        refusal: Refusal,
        /// The position of an event of this write that lost against another writer's.
        position: Option<LogPosition>,
    },
    /// Nobody knows whether the event will take effect: the log did not confirm it, or the log was
    /// replaced meanwhile.
    Unconfirmed(Box<SentEvent>, Problem),
    /// Any other problem.
    Problem(Problem),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Writer {
    /// Executes a write. `known` is the user's state if it is known without a query.
    pub(crate) async fn write(
        &self,
        call: &Call,
        write: &Write,
        known: Option<User>,
    ) -> Result<Written, Failure> {
        let deadline = self.projection.deadline();
        let log = self.projection.live_log().await.ok_or_else(problems::read_model_unavailable)?;
        let mut lock = self.lock(write, known.as_ref()).await;
        let (mut next, mut lost) = (known.map(|user| LoadedUser { user, key_id: None }), None);
        for attempt in 1..=MAX_ATTEMPTS {
            let (LoadedUser { user, key_id }, prefetched) = self.load(write, next.take()).await?;
            let decision = self.decide(write, &user, lost)?;
            let data_key = self.data_key(write, key_id, prefetched, log).await?;
            let began = Instant::now();
            let appended = self.append(call, &write.key, decision, data_key, log).await?;
            if write.is_async {
                return self.pending(appended, lock);
            }
            let position = appended.position;
            let outcome = self.projection.await_outcome(position, deadline).await;
            let took = began.elapsed();
            let accepted = (outcome == Some(WriteOutcome::Accepted)).then_some(position);
            lock.iter_mut().for_each(|lock| lock.record_attempt(took, accepted));
            match outcome {
                Some(WriteOutcome::Accepted) => {
                    metrics::attempts(attempt);
                    return Ok(match &write.command {
                        Command::Delete => self.await_erasure(&write.key, appended, lock, deadline).await,
                        Command::Create { .. } | Command::Update { .. } => Written::Accepted(appended),
                    });
                }
                Some(WriteOutcome::Parked) | None => return self.pending(appended, lock),
                Some(WriteOutcome::Rejected) => metrics::superseded(),
            }
            // With a precondition the next attempt is usually refused, so it need not wait.
            if write.precondition.is_none() {
                back_off(took, attempt).await;
            }
            let Ok(user) = self.users.load(&write.key).await else { return self.pending(appended, lock) };
            (next, lost) = (Some(user), Some(position));
        }
        metrics::attempts(MAX_ATTEMPTS);
        Err(problems::superseded().into())
    }

    /// Answers before the outcome is known. If the log was replaced meanwhile, nobody folds the
    /// event before an operator decides which log counts.
    fn pending(&self, appended: Appended, lock: Option<UserLock>) -> Result<Written, Failure> {
        if self.log_watch.is_replaced() {
            return Err(Failure::Unconfirmed(Box::new(appended.event), problems::log_replaced_meanwhile()));
        }
        Ok(Written::Pending(appended, lock))
    }
}
