//! Counts of dead letters and parked users, for gauges and the health report.

use crate::metrics;
use events_schema::Topic;
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

/// How often a projector counts them.
const EVERY: Duration = Duration::from_secs(5);
/// For one answer.
const ANSWER: Duration = Duration::from_secs(5);

/// What waits in the live generation.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingLetters {
    /// Users of whom nothing more is folded until an operator acts.
    pub parked_users: i64,
    /// Dead letters of both topics.
    pub dead_letters: i64,
    /// When the oldest of them was set aside.
    #[serde(with = "time::serde::rfc3339::option")]
    pub oldest: Option<OffsetDateTime>,
    /// The dead letters by topic and reason.
    pub reasons: Vec<WaitingReason>,
}

/// Dead letters of one reason.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct WaitingReason {
    /// `users` or `credentials`.
    pub topic: String,
    /// Why.
    pub reason: String,
    /// How many.
    pub letters: i64,
}

impl WaitingLetters {
    /// In a line; `None`: nothing waits.
    pub fn in_words(&self) -> Option<String> {
        let Self { parked_users, dead_letters, oldest, .. } = self;
        let since = oldest.map(|oldest| format!(", the oldest since {}", events_schema::millis(oldest)));
        (*dead_letters > 0).then(|| {
            format!(
                "{dead_letters} dead letters wait{}, and {parked_users} users are parked: `rollcall dead-letters list` shows them",
                since.unwrap_or_default()
            )
        })
    }
}

/// What waits, as of the last count.
pub(crate) type Counted = Arc<Mutex<WaitingLetters>>;

/// Counts what waits, again and again, for gauges and health.
pub(crate) async fn watch(pool: PgPool, counted: Counted) {
    loop {
        match answered(ANSWER, count(&pool)).await {
            Ok(found) => {
                show(&found, OffsetDateTime::now_utc());
                *counted.lock().unwrap_or_else(PoisonError::into_inner) = found;
            }
            // The last count stands; the database is what others complain of.
            Err(error) => {
                tracing::debug!(
                    code = read_model::write::sql_error::code(&error),
                    "dead letters were not counted"
                )
            }
        }
        tokio::time::sleep(EVERY).await;
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

/// What waits for an operator.
///
/// # Errors
/// Postgres can't be asked.
pub async fn waiting_letters(settings: &Settings) -> anyhow::Result<WaitingLetters> {
    let pool = database::pool(settings.database_url()?, Role::Reader, 1)?;
    let found = count(&pool).await;
    pool.close().await;
    Ok(found?)
}

type Row = (String, String, i64, Option<OffsetDateTime>);

async fn count(pool: &PgPool) -> sqlx::Result<WaitingLetters> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT topic, reason, count(*), min(parked_at) FROM live.dead_letters GROUP BY topic, reason ORDER BY topic DESC, reason",
    )
    .fetch_all(pool)
    .await?;
    let parked_users = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT DISTINCT tenant_id, user_id FROM live.dead_letters \
         WHERE topic = $1 AND user_id IS NOT NULL AND at_home) parked",
    )
    .bind(Topic::Users.as_str())
    .fetch_one(pool)
    .await?;
    Ok(WaitingLetters {
        parked_users,
        dead_letters: rows.iter().map(|(_, _, letters, _)| letters).sum(),
        oldest: rows.iter().filter_map(|(.., oldest)| *oldest).min(),
        reasons: rows
            .into_iter()
            .map(|(topic, reason, letters, _)| WaitingReason { topic, reason, letters })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_waits_is_not_spoken_of() {
        assert_eq!(WaitingLetters::default().in_words(), None);
        let oldest = Some(OffsetDateTime::UNIX_EPOCH);
        let words =
            WaitingLetters { parked_users: 2, dead_letters: 5, oldest, reasons: Vec::new() }.in_words();
        assert_eq!(
            words.as_deref(),
            Some(
                "5 dead letters wait, the oldest since 1970-01-01T00:00:00.000Z, and 2 users are parked: `rollcall dead-letters list` shows them"
            )
        );
    }
}
