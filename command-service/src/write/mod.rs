//! The pipeline of a write. [`Writer::write`] is the loop; each step has a file of its own.
//!
//! 1. lock: wait for other writers of the same user in this process ([`user_lock`]).
//! 2. load: read the user from the read model ([`load`]).
//! 3. decide: turn command and state into an event ([`decide`]), and get the key that will seal it
//!    ([`data_key`]).
//! 4. append: seal the event and write it to the log ([`append`]).
//! 5. await: wait until the projector has folded it ([`await_outcome`]). A delete also waits until
//!    the user is erased ([`complete`]).
//!
//! If another writer's event took the same sequence, the loop starts over at step 2. A write that is
//! answered 202 or 503 is not over: [`resolve`] finds out its outcome afterwards.

mod append;
mod await_outcome;
mod complete;
mod data_key;
mod decide;
mod load;
pub(crate) mod resolve;
mod user_lock;

pub(crate) use append::{Appended, SentEvent};
pub(crate) use await_outcome::Outcomes;
pub(crate) use load::Users;
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
use read_model::{WriteOutcome, read::commands::LoadedUser};
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
    pub(crate) which_log: IdentityWatch,
    pub(crate) users: Users,
    pub(crate) keys: Keys,
    pub(crate) data_keys: DataKeys,
    pub(crate) outcomes: Outcomes,
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
    /// The outcome is not known yet. The lock is held until it is, so that the next writer of the
    /// user does not append in vain.
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
        let deadline = self.outcomes.deadline();
        let log = self.outcomes.live_log().await.ok_or_else(problems::no_read_model)?;
        let mut lock = self.lock(write, known.as_ref()).await;
        let (mut next, mut position) = (known.map(|user| LoadedUser { user, key_id: None }), None);
        for attempt in 1..=MAX_ATTEMPTS {
            let (LoadedUser { user, key_id }, prefetched) = self.load(write, next.take()).await?;
            let decision = self.decide(write, &user, position)?;
            let data_key = self.data_key(write, key_id, prefetched, log).await?;
            let began = Instant::now();
            let appended = self.append(call, &write.key, decision, data_key, log).await?;
            position = Some(appended.position);
            if write.is_async {
                return self.pending(appended, lock);
            }
            let outcome = self.outcomes.await_outcome(appended.position, deadline).await;
            let took = began.elapsed();
            let accepted = (outcome == Some(WriteOutcome::Accepted)).then_some(appended.position);
            lock.iter_mut().for_each(|lock| lock.record_attempt(took, accepted));
            match outcome {
                Some(WriteOutcome::Accepted) => {
                    metrics::attempts(attempt);
                    return Ok(self.complete(write, appended, lock, deadline).await);
                }
                Some(WriteOutcome::Parked) | None => return self.pending(appended, lock),
                Some(WriteOutcome::Rejected) => metrics::superseded(),
            }
            if write.precondition.is_none() {
                back_off(took, attempt).await;
            }
            let Ok(user) = self.users.load(&write.key).await else { return self.pending(appended, lock) };
            next = Some(user);
        }
        metrics::attempts(MAX_ATTEMPTS);
        Err(problems::outrun().into())
    }

    /// Answers before the outcome is known. If the log was replaced meanwhile, nobody folds the
    /// event before an operator decides which log counts.
    fn pending(&self, appended: Appended, lock: Option<UserLock>) -> Result<Written, Failure> {
        if self.which_log.is_another() {
            return Err(Failure::Unconfirmed(Box::new(appended.event), problems::log_replaced_meanwhile()));
        }
        Ok(Written::Pending(appended, lock))
    }
}
