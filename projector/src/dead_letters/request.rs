//! Requests about dead letters. The operator's program writes them; the projector that owns the
//! partition answers them, because it alone may write the read model and knows the valid leases.

use super::{
    queued::Queued,
    selection::{Selected, Selection},
};
use anyhow::Context as _;
pub use read_model::operate::requests::{Kind, Outcome};
use read_model::operate::{
    discarded, pause,
    requests::{self, MAX_AT_ONCE},
};
use service_kit::settings::Settings;
use sqlx::PgPool;
use std::time::{Duration, Instant};

/// How long a projector may take before the request is withdrawn.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the table is polled for an answer.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Retries or discards dead letters with the queues that they are in, and waits for the outcome.
///
/// # Errors
/// There is no such dead letter (then nothing was done), the projectors are paused, none of them
/// answered a request in time (then it is withdrawn), or PostgreSQL can't be asked.
pub async fn resolve_dead_letters(
    settings: &Settings,
    kind: Kind,
    selection: &Selection,
) -> anyhow::Result<Outcome> {
    let pool = read_model::pool(settings)?;
    if let Some(pause) = pause::find(&pool).await? {
        anyhow::bail!(
            "the projectors are paused ({}): nothing can be done before `rollcall projection resume`",
            pause.reason
        );
    }
    let Selected { letters, not_stored } = selection.find(settings, &pool, kind).await?;
    requests::delete_old(&pool).await?;
    let done = request_all(&pool, kind, &letters).await?;
    for letter in &not_stored {
        discarded::insert(&pool, letter.place()).await?;
    }
    let mut outcome = total(&done);
    outcome.settled += not_stored.len();
    if let ([one], 0) = (letters.as_slice(), outcome.settled + outcome.left) {
        anyhow::bail!("there is no dead letter {} any more", one.letter);
    }
    Ok(outcome)
}

/// Makes a request for each letter, several at a time, and waits for the answers.
async fn request_all(
    pool: &PgPool,
    kind: Kind,
    letters: &[Queued],
) -> anyhow::Result<Vec<(Queued, Outcome)>> {
    let mut done: Vec<(Queued, Outcome)> = Vec::new();
    for chunk in letters.chunks(MAX_AT_ONCE) {
        let mut ids = Vec::new();
        for queued in chunk {
            ids.push(requests::insert(pool, kind, queued.letter.place()).await?);
        }
        for (queued, request) in chunk.iter().zip(ids) {
            let outcome = await_answer(pool, request)
                .await
                .with_context(|| format!("{}, after {} of {}", queued.letter, done.len(), letters.len()))?;
            done.push((queued.clone(), outcome));
        }
    }
    Ok(done)
}

/// The total of all outcomes. If several letters are in one queue, the last answer says what
/// remains there. A letter that was resolved together with another one does not count.
fn total(done: &[(Queued, Outcome)]) -> Outcome {
    let done: Vec<_> = done.iter().filter(|(_, outcome)| outcome.settled + outcome.left > 0).collect();
    let is_last =
        |n: usize, queued: &Queued| !done[n + 1..].iter().any(|(later, _)| later.shares_queue(queued));
    let settled = done.iter().map(|(_, outcome)| outcome.settled).sum();
    let last = || done.iter().enumerate().filter(|(n, (queued, _))| is_last(*n, queued));
    let left = last().map(|(_, (_, outcome))| outcome.left).sum();
    let first = last().find_map(|(_, (_, outcome))| outcome.reason.as_ref().map(|_| outcome));
    let (reason, detail) = first.map_or((None, None), |first| (first.reason.clone(), first.detail.clone()));
    Outcome { settled, left, reason, detail }
}

async fn await_answer(pool: &PgPool, id: i64) -> anyhow::Result<Outcome> {
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    loop {
        if let Some(outcome) = requests::outcome(pool, id).await?.context("the request is gone")? {
            return Ok(outcome);
        }
        if Instant::now() > deadline {
            anyhow::ensure!(
                !requests::withdraw(pool, id).await?,
                "no projector has taken the request within {} s, and it is withdrawn: see `rollcall projection status` and the \
                 projectors' /health/ready",
                ANSWER_TIMEOUT.as_secs()
            );
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
