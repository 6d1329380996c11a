//! Listing dead letters for operators.

use event_log::raw::{Headers, Raw, UNREADABLE};
use events_schema::{Place, Reason, ReasonCode, TenantId, Topic};
use serde_json::Value;
use service_kit::settings::Settings;
use sqlx::PgPool;
use std::{collections::BTreeSet, fmt, str::FromStr};
use time::OffsetDateTime;
use uuid::Uuid;

/// A dead letter's name: `<topic>:<partition>:<offset>`, its place in the log, so it is the same in every generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterId {
    pub(crate) topic: Topic,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

impl LetterId {
    /// The record's place in the log.
    pub(crate) fn place(&self) -> Place {
        ((self.topic, self.partition), self.offset)
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.topic, self.partition, self.offset)
    }
}

impl FromStr for LetterId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let mut parts = text.splitn(3, ':');
            let topic = Topic::named(parts.next()?)?;
            Some(Self { topic, partition: parts.next()?.parse().ok()?, offset: parts.next()?.parse().ok()? })
        };
        read().ok_or("is no id of a dead letter, which is like users:3:17")
    }
}

/// Whose dead letters are meant.
#[derive(Debug, Clone)]
pub struct UserFilter {
    /// The tenant, where that is known.
    pub tenant: Option<TenantId>,
    /// The user.
    pub user: Uuid,
}

/// A dead letter that stands for the queue that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) letter: LetterId,
    /// The user behind whose first dead letter it waits; none: it waits for nobody, and nobody for it.
    owner: Option<(String, Uuid)>,
}

impl Queued {
    /// Whether both are in one queue.
    pub(crate) fn is_with(&self, other: &Self) -> bool {
        self.letter == other.letter || (self.owner.is_some() && self.owner == other.owner)
    }

    /// One letter, if it is there.
    pub(crate) async fn at(pool: &PgPool, letter: &LetterId) -> sqlx::Result<Option<Self>> {
        let row = sqlx::query_as(AT);
        let row: Option<QueuedRow> = row
            .bind(letter.topic.as_str())
            .bind(letter.partition)
            .bind(letter.offset)
            .fetch_optional(pool)
            .await?;
        Ok(row.and_then(Self::of))
    }

    /// All that are set aside for that reason.
    pub(crate) async fn because(pool: &PgPool, reason: ReasonCode) -> sqlx::Result<Vec<Self>> {
        let rows: Vec<QueuedRow> = sqlx::query_as(BECAUSE).bind(reason.as_str()).fetch_all(pool).await?;
        Ok(rows.into_iter().filter_map(Self::of).collect())
    }

    /// One of each queue of a user: that in the user's own partition, and each record that lies elsewhere.
    pub(crate) async fn of_user(pool: &PgPool, user: &UserFilter) -> anyhow::Result<Vec<Self>> {
        let rows: Vec<QueuedRow> = sqlx::query_as(OF_USER)
            .bind(user.tenant.as_ref().map(TenantId::as_str))
            .bind(user.user)
            .fetch_all(pool)
            .await?;
        let tenants: BTreeSet<_> = rows.iter().map(|row| &row.3).collect();
        anyhow::ensure!(
            tenants.len() < 2,
            "several tenants have a user of that id with dead letters: name one by --tenant"
        );
        let mut queues: Vec<Self> = Vec::new();
        for queued in rows.into_iter().filter_map(Self::of) {
            if !queues.iter().any(|known| known.is_with(&queued)) {
                queues.push(queued);
            }
        }
        Ok(queues)
    }

    fn of((topic, partition, offset, tenant, user, is_at_home): QueuedRow) -> Option<Self> {
        let letter = LetterId { topic: Topic::named(&topic)?, partition, offset };
        Some(Self { letter, owner: tenant.zip(user).filter(|_| is_at_home) })
    }
}

type QueuedRow = (String, i32, i64, Option<String>, Option<Uuid>, bool);

const AT: &str = "\
SELECT topic, partition, log_offset, tenant_id, user_id, at_home FROM live.dead_letters \
WHERE topic = $1 AND partition = $2 AND log_offset = $3";

const BECAUSE: &str = "\
SELECT topic, partition, log_offset, tenant_id, user_id, at_home FROM live.dead_letters \
WHERE reason = $1 ORDER BY topic DESC, partition, log_offset";

const OF_USER: &str = "\
SELECT topic, partition, log_offset, tenant_id, user_id, at_home FROM live.dead_letters \
WHERE ($1::text IS NULL OR tenant_id = $1) AND user_id = $2 ORDER BY topic DESC, partition, log_offset";

/// A dead letter without its bytes.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Its name.
    pub id: String,
    /// `users` or `credentials`.
    pub topic: String,
    /// The record's partition.
    pub partition: i32,
    /// The record's offset there.
    pub offset: i64,
    /// Whose it is, where that is known.
    pub tenant_id: Option<String>,
    /// Whose it is, where that is known.
    pub user_id: Option<Uuid>,
    /// Why it is here: the code.
    pub reason: String,
    /// The same in words.
    pub detail: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub parked_at: OffsetDateTime,
    /// Bytes of key and value.
    pub size: i32,
}

/// A dead letter with all that is kept of it.
pub struct WholeLetter {
    /// What the list shows.
    pub letter: DeadLetter,
    /// Kafka's time of the record.
    pub record_time: Option<OffsetDateTime>,
    /// The headers.
    pub headers: Headers,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
}

const LIST: &str = "\
SELECT topic, partition, log_offset, tenant_id, user_id, reason, detail, parked_at, \
    coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0) AS size \
FROM live.dead_letters WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::uuid IS NULL OR user_id = $2) ORDER BY topic DESC, partition, log_offset";

/// The dead letters, of everybody or of one user, in the order of the log.
///
/// # Errors
/// Postgres can't be asked.
pub async fn dead_letters(settings: &Settings, of: Option<&UserFilter>) -> anyhow::Result<Vec<DeadLetter>> {
    let tenant = of.and_then(|of| of.tenant.as_ref()).map(TenantId::as_str);
    let query = sqlx::query_as(LIST).bind(tenant).bind(of.map(|of| of.user));
    let rows: Vec<Listed> = query.fetch_all(&read_model::pool(settings)?).await?;
    Ok(rows.into_iter().map(DeadLetter::from).collect())
}

type Listed = (String, i32, i64, Option<String>, Option<Uuid>, String, Option<String>, OffsetDateTime, i32);

impl From<Listed> for DeadLetter {
    fn from((topic, partition, offset, tenant_id, user_id, code, detail, parked_at, size): Listed) -> Self {
        let id = format!("{topic}:{partition}:{offset}");
        let reason = Reason::stored(&code, detail);
        let (reason, detail) = (reason.code.to_string(), reason.to_string());
        Self { id, topic, partition, offset, tenant_id, user_id, reason, detail, parked_at, size }
    }
}

type Bytes = Option<Vec<u8>>;
type Row = (Option<OffsetDateTime>, Value, bool, Bytes, Bytes);

/// One dead letter, if it is there.
///
/// # Errors
/// Postgres can't be asked.
pub async fn dead_letter(settings: &Settings, id: &LetterId) -> anyhow::Result<Option<WholeLetter>> {
    let name = id.to_string();
    let found = dead_letters(settings, None).await?.into_iter().find(|letter| letter.id == name);
    let Some(letter) = found else { return Ok(None) };
    let row: Option<Row> = sqlx::query_as(
        "SELECT record_time, coalesce(raw_headers, headers), raw_headers IS NOT NULL, key, value FROM live.dead_letters \
         WHERE topic = $1 AND partition = $2 AND log_offset = $3",
    )
    .bind(id.topic.as_str())
    .bind(id.partition)
    .bind(id.offset)
    .fetch_optional(&read_model::pool(settings)?)
    .await?;
    Ok(row.map(|(record_time, headers, is_raw, key, value)| WholeLetter {
        letter,
        record_time,
        headers: Raw::read_headers(headers, is_raw).unwrap_or_default().into_iter().map(shown).collect(),
        key,
        value,
    }))
}

/// A header with a name that can be shown.
fn shown((name, value): (String, Vec<u8>)) -> (String, Vec<u8>) {
    if name == UNREADABLE { ("(a name that is not UTF-8)".to_owned(), value) } else { (name, value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_place_in_the_log() {
        let id: LetterId = "credentials:3:17".parse().unwrap();
        assert_eq!(id.to_string(), "credentials:3:17");
        for bad in ["", "users", "users:3", "users:3:x", "others:3:17", "users:3:17:1", "17"] {
            assert!(bad.parse::<LetterId>().is_err(), "{bad}");
        }
    }
}
