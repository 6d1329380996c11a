//! Requests about dead letters. The operator's program writes them; the projector that owns the
//! partition answers them, because it alone may write the read model and knows the valid leases.

use super::{
    list::{LetterId, Queued, UserFilter},
    not_stored,
};
use crate::pause;
use anyhow::Context as _;
use events_schema::ReasonCode;
use read_model::operate::requests::{self, MAX_AT_ONCE};
pub use read_model::operate::requests::{Kind, Outcome};
use service_kit::settings::Settings;
use sqlx::PgPool;
use std::time::{Duration, Instant};

/// How long a projector may take before the request is withdrawn.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the answer is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// Asks for dead letters, or for the queue of a user, and waits for the outcome.
///
/// # Errors
/// There is no such dead letter (then nothing was done), the projectors are paused, none of them took a request in time (it is withdrawn
/// then), or Postgres can't be asked.
pub async fn ask(settings: &Settings, kind: Kind, what: &What) -> anyhow::Result<Outcome> {
    let pool = read_model::pool(settings)?;
    if let Some(pause) = pause::read(&pool).await? {
        anyhow::bail!(
            "the projectors are paused ({}): nothing can be done before `rollcall projection resume`",
            pause.reason
        );
    }
    let Asked { letters, not_stored } = what.asked(settings, &pool, kind).await?;
    // Answers are read at once; what is old was read long ago.
    requests::delete_old(&pool).await?;
    let mut done: Vec<(Queued, Outcome)> = Vec::new();
    for some in letters.chunks(MAX_AT_ONCE) {
        let mut ids = Vec::new();
        for queued in some {
            ids.push(requests::insert(&pool, kind, queued.letter.place()).await?);
        }
        for (queued, request) in some.iter().zip(ids) {
            let outcome = wait(&pool, request)
                .await
                .with_context(|| format!("{}, after {} of {}", queued.letter, done.len(), letters.len()))?;
            done.push((queued.clone(), outcome));
        }
    }
    for letter in &not_stored {
        not_stored::discard(&pool, letter).await?;
    }
    let mut outcome = sum(&done);
    outcome.settled += not_stored.len();
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

async fn wait(pool: &PgPool, id: i64) -> anyhow::Result<Outcome> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(outcome) = requests::outcome(pool, id).await?.context("the request is gone")? {
            return Ok(outcome);
        }
        if Instant::now() > give_up {
            anyhow::ensure!(
                !requests::withdraw(pool, id).await?,
                "no projector has taken the request within {} s, and it is withdrawn: see `rollcall projection status` and the \
                 projectors' /health/ready",
                PATIENCE.as_secs()
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The records that are asked for.
#[derive(Default)]
struct Asked {
    letters: Vec<Queued>,
    /// Those that are no dead letters.
    not_stored: Vec<LetterId>,
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
            return Ok(Asked { letters: self.letters(pool).await?, not_stored: Vec::new() });
        };
        let mut asked = Asked::default();
        for letter in letters {
            match Queued::at(pool, letter).await? {
                Some(queued) => asked.letters.push(queued),
                None if kind == Kind::Discard => {
                    not_stored::check(settings, pool, letter).await?;
                    asked.not_stored.push(*letter);
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
