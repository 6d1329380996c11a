//! Counts of dead letters and parked users, for gauges and the health report.

use crate::metrics;
use read_model::{
    operate::dead_letter_counts::{by_reason, parked_users},
    write::sql_error,
};
use service_kit::{
    database::{self, Role, answered},
    settings::Settings,
};
use sqlx::PgPool;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use time::OffsetDateTime;

/// How often a projector counts.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);
/// How long PostgreSQL may take to answer.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// What waits in the live generation.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingLetters {
    /// Users whose events are not folded until an operator acts.
    pub parked_users: i64,
    /// Dead letters of both topics.
    pub dead_letters: i64,
    /// When the oldest of them was set aside.
    #[serde(with = "time::serde::rfc3339::option")]
    pub oldest: Option<OffsetDateTime>,
    /// The dead letters by topic and reason.
    pub reasons: Vec<WaitingReason>,
}

/// The dead letters of a topic with one reason.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct WaitingReason {
    /// `users` or `credentials`.
    pub topic: String,
    /// The reason.
    pub reason: String,
    /// The number of dead letters.
    pub letters: i64,
}

impl WaitingLetters {
    /// A summary in one line; `None` if nothing waits.
    pub fn summary(&self) -> Option<String> {
        let Self { parked_users, dead_letters, oldest, .. } = self;
        if *dead_letters == 0 {
            return None;
        }
        let since = oldest.map(|oldest| format!(", the oldest since {}", events_schema::millis(oldest)));
        let letters = match dead_letters {
            1 => "1 dead letter waits".to_owned(),
            letters => format!("{letters} dead letters wait"),
        };
        let users = match parked_users {
            1 => "1 user is parked".to_owned(),
            users => format!("{users} users are parked"),
        };
        let since = since.unwrap_or_default();
        Some(format!("{letters}{since}, and {users}: `rollcall dead-letters list` shows them"))
    }
}

/// The last count, shared with the health report.
pub(crate) type Counted = Arc<Mutex<WaitingLetters>>;

/// Counts again and again, for gauges and the health report.
pub(crate) async fn watch(pool: PgPool, counted: Counted) {
    loop {
        match answered(QUERY_TIMEOUT, count(&pool)).await {
            Ok(found) => {
                show(&found, OffsetDateTime::now_utc());
                *counted.lock().unwrap_or_else(PoisonError::into_inner) = found;
            }
            // The last count stays. Others report that PostgreSQL does not answer.
            Err(error) => {
                tracing::debug!(code = sql_error::code(&error), "counting dead letters failed")
            }
        }
        tokio::time::sleep(COUNT_INTERVAL).await;
    }
}

/// Sets the gauges.
fn show(found: &WaitingLetters, now: OffsetDateTime) {
    metrics::PARKED_USERS.set(found.parked_users);
    metrics::DEAD_LETTERS.reset();
    for reason in &found.reasons {
        metrics::DEAD_LETTERS.with_label_values(&[&reason.topic, &reason.reason]).set(reason.letters);
    }
    let age = found.oldest.map_or(0.0, |oldest| (now - oldest).as_seconds_f64().max(0.0));
    metrics::OLDEST_DEAD_LETTER.set(age);
}

/// Counts what waits for an operator.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn waiting_letters(settings: &Settings) -> anyhow::Result<WaitingLetters> {
    let pool = database::pool(settings.database_url()?, Role::Reader, 1)?;
    let found = count(&pool).await;
    pool.close().await;
    Ok(found?)
}

async fn count(pool: &PgPool) -> sqlx::Result<WaitingLetters> {
    let (reasons, parked_users) = (by_reason(pool).await?, parked_users(pool).await?);
    Ok(WaitingLetters {
        parked_users,
        dead_letters: reasons.iter().map(|count| count.letters).sum(),
        oldest: reasons.iter().filter_map(|count| count.oldest).min(),
        reasons: reasons
            .into_iter()
            .map(|count| WaitingReason { topic: count.topic, reason: count.reason, letters: count.letters })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_summary_if_something_waits() {
        assert_eq!(WaitingLetters::default().summary(), None);
        let oldest = Some(OffsetDateTime::UNIX_EPOCH);
        let waiting = WaitingLetters { parked_users: 2, dead_letters: 5, oldest, reasons: Vec::new() };
        assert_eq!(
            waiting.summary().as_deref(),
            Some(
                "5 dead letters wait, the oldest since 1970-01-01T00:00:00.000Z, and 2 users are parked: `rollcall dead-letters list` shows them"
            )
        );
    }
}
