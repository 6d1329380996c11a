//! The loop of every write: read, decide, append, wait, ask what became of it, and begin again where another writer came first.

use crate::{
    append::{AppendError, Log, Record},
    data_keys::DataKeys,
    metrics,
    open_end::OpenEnd,
    problems, shown,
    state::{Known, Left, States},
    turns::{Turn, Turns},
    uncertain::{Inquiries, Uncertain},
    visible::{Fate, Visible},
};
use domain::{
    codec::{owner, seal},
    command::{Command, User},
    decide::{Decision, Refusal, decide},
    precondition::Precondition,
};
use event_log::identity_watch::IdentityWatch;
use events_schema::{Envelope, UserKey, millis, user::UserEvent};
use key_store::{DataKey, Keys};
use read_model::projection_position::LiveLog;
use service_kit::{operation::Call, position::LogPosition, problem::Problem};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use uuid::Uuid;

/// How often a write tries before it gives up. A write that loses costs a few milliseconds, so many fit into the time that it waits anyway.
const TRIES: u32 = 64;

/// The longest pause between two looks whether a user is erased.
const LOOK: Duration = Duration::from_millis(40);

/// Does writes.
pub(crate) struct Writer {
    pub(crate) log: Arc<Log>,
    pub(crate) which: IdentityWatch,
    pub(crate) states: States,
    pub(crate) keys: Keys,
    pub(crate) data_keys: DataKeys,
    pub(crate) visible: Visible,
    pub(crate) turns: Turns,
    pub(crate) inquiries: Inquiries,
}

/// One write.
pub(crate) struct Write {
    pub(crate) key: UserKey,
    pub(crate) command: Command,
    pub(crate) precondition: Option<Precondition>,
    /// Whether the answer is to be given before the fate is known.
    pub(crate) is_async: bool,
}

/// An event of ours in the log.
#[derive(Debug, Clone)]
pub(crate) struct Appended {
    pub(crate) event: Uncertain,
    pub(crate) position: LogPosition,
    /// The user's version once it is accepted.
    pub(crate) version: u64,
    /// The user as it is then; nothing after a delete.
    pub(crate) body: Option<String>,
}

/// What became of a write that reached the log.
pub(crate) enum Written {
    /// It had its effect.
    Accepted(Appended),
    /// It is in the log. The turn goes on until it had its effect, so that the user's next writer does not write in vain.
    Pending(Appended, Option<Turn>),
}

/// What kept a write from its effect.
pub(crate) enum Failure {
    /// The decision, which each operation words by itself.
    Refused {
        refusal: Refusal,
        /// Where an event of ours lies that another writer outran.
        position: Option<LogPosition>,
    },
    /// Its event may be in the log, or is in one that may never count.
    Uncertain(Box<Uncertain>, Problem),
    /// Anything else.
    Problem(Problem),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Writer {
    /// Runs the loop. `known` is the user's state where no question is needed to know it.
    pub(crate) async fn write(
        &self,
        call: &Call,
        write: &Write,
        known: Option<User>,
    ) -> Result<Written, Failure> {
        let deadline = self.visible.deadline();
        let log = self.visible.log().await.ok_or_else(problems::no_read_model)?;
        let mut turn = self.turn(write, known.as_ref()).await;
        let (mut next, mut position) = (known.map(|user| Known { user, key_id: None }), None);
        for tried in 1..=TRIES {
            let (known, foreseen) = match next.take() {
                Some(known) => (Ok(known), None),
                // Both at once: so one of them costs no time.
                None => tokio::join!(self.states.user(&write.key), self.foreseen_key(write)),
            };
            let Known { user, key_id } = known?;
            let decision = decide(&write.command, &user, write.precondition.as_ref());
            let decision = decision.map_err(|refusal| self.refused(refusal, position))?;
            if self.which.is_another() {
                return Err(problems::another_log().into());
            }
            let data_key = self.data_key(write, key_id, foreseen, log).await?;
            let began = Instant::now();
            let appended = self.append(call, &write.key, decision, data_key, log).await?;
            position = Some(appended.position);
            if write.is_async {
                return self.pending(appended, turn);
            }
            let fate = self.visible.fate(appended.position, deadline).await;
            let round = began.elapsed();
            let accepted = (fate == Fate::Accepted).then_some(appended.position);
            turn.iter_mut().for_each(|turn| turn.tried(round, accepted));
            match fate {
                Fate::Accepted => {
                    metrics::tried(tried);
                    return Ok(self.done(write, appended, turn, deadline).await);
                }
                Fate::Pending => return self.pending(appended, turn),
                Fate::Void => metrics::superseded(),
            }
            if write.precondition.is_none() {
                give_way(round, tried).await;
            }
            let Ok(user) = self.states.user(&write.key).await else { return self.pending(appended, turn) };
            next = Some(user);
        }
        metrics::tried(TRIES);
        Err(problems::outrun().into())
    }

    /// It is in the log, unless that was replaced meanwhile: then nobody folds it before an operator has said which log counts.
    fn pending(&self, appended: Appended, turn: Option<Turn>) -> Result<Written, Failure> {
        if self.which.is_another() {
            return Err(Failure::Uncertain(Box::new(appended.event), problems::log_replaced_meanwhile()));
        }
        Ok(Written::Pending(appended, turn))
    }

    /// Follows up a write that is answered before its fate is known.
    pub(crate) fn follow_up(self: &Arc<Self>, appended: &Appended, turn: Option<Turn>, end: OpenEnd) {
        let (writer, event) = (self.clone(), appended.event.clone());
        let replaced = move |end| writer.inquiries.open(event, end);
        self.visible.follow_up(appended.position, turn, end, replaced);
    }

    /// A refusal must not rest on a read model that the log may contradict. Once an event of ours is folded, its user's partition is not such
    /// a one any more.
    fn refused(&self, refusal: Refusal, position: Option<LogPosition>) -> Failure {
        if position.is_none() && self.visible.is_catching_up() {
            return problems::catching_up().into();
        }
        Failure::Refused { refusal, position }
    }

    /// The turn of a writer, if it comes in time. Of a user that is not known to anyone there is no other writer.
    async fn turn(&self, write: &Write, known: Option<&User>) -> Option<Turn> {
        if known.is_some() {
            return None;
        }
        let mut turn = self.turns.take(&write.key, self.visible.patience()).await;
        let has_rejected_since = |position| self.visible.has_rejected_since(position);
        if let Some(round) = turn.as_mut().and_then(|turn| turn.contested(has_rejected_since)) {
            give_way(round, 0).await;
        }
        turn
    }

    /// The key under which the event is to be sealed. That of a create is in the key store before its event can be in the log. Where a
    /// user's own is missing none is made in its place: what was sealed under the first would be lost without a word.
    async fn data_key(
        &self,
        write: &Write,
        key_id: Option<Uuid>,
        foreseen: Option<Arc<DataKey>>,
        log: LiveLog,
    ) -> Result<Option<Arc<DataKey>>, Problem> {
        let owner = owner(&write.key);
        let is_new = match &write.command {
            Command::Delete => return Ok(None),
            Command::Create { .. } => true,
            Command::Update { .. } => key_id.is_none(),
        };
        if is_new {
            return Ok(self.data_keys.made_for(&owner, log.epoch).await?);
        }
        let is_own = |key: &Arc<DataKey>| Some(key.id()) == key_id;
        match foreseen.filter(is_own) {
            Some(key) => Ok(Some(key)),
            // It may be younger than the first question.
            None => match self.data_keys.of(&owner).await?.filter(is_own) {
                Some(key) => Ok(Some(key)),
                None if self.is_key_missing(&write.key).await? => Err(problems::key_is_missing()),
                None => Err(problems::not_found(write.key.user)),
            },
        }
    }

    /// The key that an update will most likely need. What is wrong with it is said when it is needed.
    async fn foreseen_key(&self, write: &Write) -> Option<Arc<DataKey>> {
        match &write.command {
            Command::Update { .. } => self.data_keys.of(&owner(&write.key)).await.ok().flatten(),
            Command::Create { .. } | Command::Delete => None,
        }
    }

    /// A delete is done once the user's key is destroyed and nothing is kept of the user anywhere; until then it is pending.
    async fn done(
        &self,
        write: &Write,
        appended: Appended,
        turn: Option<Turn>,
        deadline: Instant,
    ) -> Written {
        let is_done = match &write.command {
            Command::Create { .. } | Command::Update { .. } => true,
            Command::Delete => {
                self.is_erased(&write.key, deadline).await
                    && self.keys.is_destroyed(&owner(&write.key), deadline).await
            }
        };
        if is_done { Written::Accepted(appended) } else { Written::Pending(appended, turn) }
    }

    /// Waits while the user's key is about to be destroyed in another database; whether nothing is left then. A cache that does not answer is
    /// not waited for: that may take long.
    async fn is_erased(&self, key: &UserKey, deadline: Instant) -> bool {
        let mut pause = Duration::from_millis(1);
        loop {
            match self.states.left(key).await {
                Ok(Left::Nothing) => return true,
                Ok(Left::Key) if Instant::now() + pause < deadline => tokio::time::sleep(pause).await,
                Ok(_) | Err(_) => return false,
            }
            pause = (pause * 2).min(LOOK);
        }
    }

    async fn append(
        &self,
        call: &Call,
        key: &UserKey,
        decision: Decision,
        data_key: Option<Arc<DataKey>>,
        log: LiveLog,
    ) -> Result<Appended, Failure> {
        let Decision { sequence: version, event: new } = decision;
        let print = |personal| shown::print(key.user, personal).map_err(|_| problems::too_long());
        let body = new.personal().map(print).transpose()?;
        let id = Uuid::now_v7();
        let event = seal(key, version, new, data_key.as_deref()).map_err(|error| {
            tracing::error!(%error, "an event could not be sealed");
            Problem::internal()
        })?;
        let key_id = data_key.map(|key| key.id()).filter(|_| event.is_sealed());
        let record = record(call, key, id, version, key_id, &event);
        let partition = key.partition(log.partitions);
        let from = self.visible.folded(log, partition);
        let event = Uncertain { id, key: key.clone(), log, partition, from };
        match self.log.append(&record, log.partitions).await {
            Ok(position) if position.offset < from => {
                tracing::error!(
                    partition,
                    from,
                    offset = position.offset,
                    "the log is not the one that was folded"
                );
                Err(Failure::Uncertain(Box::new(event), problems::log_replaced_meanwhile()))
            }
            Ok(position) => Ok(Appended { event, position: log.position(position), version, body }),
            Err(error @ AppendError::Unknown) => {
                Err(Failure::Uncertain(Box::new(event), problems::append(error)))
            }
            Err(error) => Err(problems::append(error).into()),
        }
    }
}

fn record(
    call: &Call,
    key: &UserKey,
    id: Uuid,
    sequence: u64,
    key_id: Option<Uuid>,
    event: &UserEvent,
) -> Record {
    let envelope = Envelope {
        id,
        event_type: event.event_type(),
        time: millis(OffsetDateTime::now_utc()),
        user: key.user,
        tenant: key.tenant.clone(),
        sequence: Some(sequence),
        key_id,
        request_id: Some(call.context.request_id.clone()),
        client_id: call.context.client_id.clone(),
        traceparent: Some(call.context.traceparent.clone()),
    };
    Record { key: key.clone(), headers: envelope.headers(), value: event.data() }
}

/// Lets a writer of another instance go first, for a part of the time that a try takes, never the same for two. The more often a write
/// has tried the shorter that is, and soon nothing at all, so that the latest come last and nobody starves.
async fn give_way(round: Duration, tried: u32) {
    let most = match tried {
        0 => 2 * round,
        1 | 2 => round / (2 * tried),
        _ => return,
    };
    let chance = f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    tokio::time::sleep(most.mul_f64(chance)).await;
}
