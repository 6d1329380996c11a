//! What is to be done with dead letters: asked here by the operator's program, done by the projector that owns the partition, since it
//! alone may write the read model and knows which leases live.

use super::{
    letters::{LetterId, Queued, UserFilter},
    pause, unkept,
};
use crate::store::postgres;
use anyhow::Context as _;
use events_schema::{Partition, Reason, ReasonCode, Topic};
use serde::{Deserialize, Serialize};
use service_kit::settings::Settings;
use sqlx::{PgPool, types::Json};
use std::time::{Duration, Instant};

/// How long a projector may take before the request is withdrawn.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the answer is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// Requests that are done in one go, at most.
const AT_ONCE: usize = 16;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Fold the queue again.
    Retry,
    /// Take the effect of a record, then fold its queue again.
    Discard,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Discard => "discard",
        }
    }
}

/// A request that is open. It names a dead letter, and by it the queue that the letter is in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) id: i64,
    pub(crate) kind: Kind,
    pub(crate) topic: Topic,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

impl Request {
    pub(crate) fn is_discard(&self) -> bool {
        self.kind == Kind::Discard
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Dead letters that are none any more.
    pub settled: usize,
    /// Those of the same user that still are.
    pub left: usize,
    /// Why the first of them is: the code.
    pub reason: Option<String>,
    /// The same in words.
    #[serde(default)]
    pub detail: Option<String>,
}

impl Outcome {
    /// So many are settled and so many left, the first of these for that reason.
    pub(crate) fn new(settled: usize, left: usize, reason: Option<&Reason>) -> Self {
        let (code, detail) = reason.map(|reason| (reason.code.to_string(), reason.to_string())).unzip();
        Self { settled, left, reason: code, detail }
    }
}

/// The open requests for partitions that are ours, the oldest first.
///
/// # Errors
/// Postgres can't be asked.
pub(crate) async fn open<'p>(
    pool: &PgPool,
    owned: impl Iterator<Item = &'p Partition>,
) -> sqlx::Result<Vec<Request>> {
    let partitions: Vec<i32> = owned.filter(|(topic, _)| *topic == Topic::Users).map(|(_, p)| *p).collect();
    let rows: Vec<(i64, String, String, i32, i64)> = sqlx::query_as(
        "SELECT id, kind, topic, partition, log_offset FROM rollcall.requests \
         WHERE outcome IS NULL AND partition = ANY($1) ORDER BY id LIMIT $2",
    )
    .bind(partitions)
    .bind(i64::try_from(AT_ONCE).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    let request = |(id, kind, topic, partition, offset): (_, String, String, _, _)| {
        let kind = if kind == Kind::Discard.as_str() { Kind::Discard } else { Kind::Retry };
        Some(Request { id, kind, topic: Topic::named(&topic)?, partition, offset })
    };
    Ok(rows.into_iter().filter_map(request).collect())
}

/// Asks for dead letters, or for the queue of a user, and waits for the outcome.
///
/// # Errors
/// There is no such dead letter (then nothing was done), the projectors are paused, none of them took a request in time (it is withdrawn
/// then), or Postgres can't be asked.
pub async fn ask(settings: &Settings, kind: Kind, what: &What) -> anyhow::Result<Outcome> {
    let pool = postgres::pool(settings)?;
    if let Some(pause) = pause::read(&pool).await? {
        anyhow::bail!(
            "the projectors are paused ({}): nothing can be done before `rollcall projection resume`",
            pause.reason
        );
    }
    let Asked { letters, unkept } = what.asked(settings, &pool, kind).await?;
    // Answers are read at once; what is old was read long ago.
    sqlx::query("DELETE FROM rollcall.requests WHERE done_at < now() - interval '1 day'")
        .execute(&pool)
        .await?;
    let mut done: Vec<(Queued, Outcome)> = Vec::new();
    for some in letters.chunks(AT_ONCE) {
        let mut requests = Vec::new();
        for queued in some {
            requests.push(put(&pool, kind, &queued.letter).await?);
        }
        for (queued, request) in some.iter().zip(requests) {
            let outcome = wait(&pool, request)
                .await
                .with_context(|| format!("{}, after {} of {}", queued.letter, done.len(), letters.len()))?;
            done.push((queued.clone(), outcome));
        }
    }
    for letter in &unkept {
        unkept::discard(&pool, letter).await?;
    }
    let mut outcome = sum(&done);
    outcome.settled += unkept.len();
    if let ([one], 0) = (letters.as_slice(), outcome.settled + outcome.left) {
        anyhow::bail!("there is no dead letter {} any more", one.letter);
    }
    Ok(outcome)
}

/// What came of all of them. Of letters in one queue the last answer says what is left there; one that went along with another is none.
fn sum(done: &[(Queued, Outcome)]) -> Outcome {
    let done: Vec<_> = done.iter().filter(|(_, outcome)| outcome.settled + outcome.left > 0).collect();
    let is_last = |n: usize, queued: &Queued| !done[n + 1..].iter().any(|(later, _)| later.is_with(queued));
    let settled = done.iter().map(|(_, outcome)| outcome.settled).sum();
    let last = || done.iter().enumerate().filter(|(n, (queued, _))| is_last(*n, queued));
    let left = last().map(|(_, (_, outcome))| outcome.left).sum();
    let first = last().find_map(|(_, (_, outcome))| outcome.reason.as_ref().map(|_| outcome));
    let (reason, detail) = first.map_or((None, None), |first| (first.reason.clone(), first.detail.clone()));
    Outcome { settled, left, reason, detail }
}

async fn put(pool: &PgPool, kind: Kind, letter: &LetterId) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "INSERT INTO rollcall.requests (kind, topic, partition, log_offset) VALUES ($1, $2, $3, $4) RETURNING id",
    )
    .bind(kind.as_str())
    .bind(letter.topic.as_str())
    .bind(letter.partition)
    .bind(letter.offset)
    .fetch_one(pool)
    .await
}

async fn wait(pool: &PgPool, id: i64) -> anyhow::Result<Outcome> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(outcome) = outcome(pool, id).await? {
            return Ok(outcome);
        }
        if Instant::now() > give_up {
            let withdraw = "DELETE FROM rollcall.requests WHERE id = $1 AND outcome IS NULL";
            let withdrawn = sqlx::query(withdraw).bind(id).execute(pool).await?.rows_affected();
            anyhow::ensure!(
                withdrawn == 0,
                "no projector has taken the request within {} s, and it is withdrawn: see `rollcall projection status` and the \
                 projectors' /health/ready",
                PATIENCE.as_secs()
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn outcome(pool: &PgPool, id: i64) -> anyhow::Result<Option<Outcome>> {
    let outcome: Option<Option<Json<Outcome>>> =
        sqlx::query_scalar("SELECT outcome FROM rollcall.requests WHERE id = $1")
            .bind(id)
            .fetch_optional(pool)
            .await?;
    let outcome = outcome.context("the request is gone")?;
    Ok(outcome.map(|Json(outcome)| outcome))
}

/// The records that are asked for.
#[derive(Default)]
struct Asked {
    letters: Vec<Queued>,
    /// Those that are no dead letters.
    unkept: Vec<LetterId>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub enum What {
    /// Dead letters by their names.
    Letters(Vec<LetterId>),
    /// The dead letters of a user.
    User(UserFilter),
    /// All that are set aside for a reason.
    Reason(ReasonCode),
}

impl What {
    /// What stands for it. Nothing is done where one of the names is wrong.
    async fn asked(&self, settings: &Settings, pool: &PgPool, kind: Kind) -> anyhow::Result<Asked> {
        let Self::Letters(letters) = self else {
            return Ok(Asked { letters: self.letters(pool).await?, unkept: Vec::new() });
        };
        let mut asked = Asked::default();
        for letter in letters {
            match Queued::at(pool, letter).await? {
                Some(queued) => asked.letters.push(queued),
                None if kind == Kind::Discard => {
                    unkept::check(settings, pool, letter).await?;
                    asked.unkept.push(*letter);
                }
                None => anyhow::bail!(
                    "there is no dead letter {letter}: `rollcall dead-letters list` shows those that there are"
                ),
            }
        }
        Ok(asked)
    }

    /// The dead letters that stand for a user or a reason, in the order of the log.
    async fn letters(&self, pool: &PgPool) -> anyhow::Result<Vec<Queued>> {
        match self {
            Self::Letters(_) => Ok(Vec::new()),
            Self::User(user) => {
                let queues = Queued::of_user(pool, user).await?;
                anyhow::ensure!(!queues.is_empty(), "there is no dead letter of this user");
                Ok(queues)
            }
            Self::Reason(reason) => {
                anyhow::ensure!(
                    *reason != ReasonCode::Queued,
                    "records that are {reason} are sound: they wait behind another one, so discard or retry that"
                );
                let letters = Queued::because(pool, *reason).await?;
                anyhow::ensure!(!letters.is_empty(), "there is no dead letter with the reason {reason}");
                Ok(letters)
            }
        }
    }
}
