//! Listing dead letters for operators.

use super::{LetterId, UserFilter};
use event_log::raw::{Headers, Raw, UNREADABLE};
use events_schema::Reason;
use read_model::operate::dead_letters::{self, ListedRow};
use service_kit::settings::Settings;
use time::OffsetDateTime;
use uuid::Uuid;

/// A dead letter without its bytes.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Its id.
    pub id: String,
    /// `users` or `credentials`.
    pub topic: String,
    /// The record's partition.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// The tenant that the record names, if any.
    pub tenant_id: Option<String>,
    /// The user that the record names, if any.
    pub user_id: Option<Uuid>,
    /// The code of the reason.
    pub reason: String,
    /// The reason as text.
    pub detail: String,
    /// When the record was set aside.
    #[serde(with = "time::serde::rfc3339")]
    pub parked_at: OffsetDateTime,
    /// Bytes of key and value.
    pub size: i32,
}

/// A dead letter with its record.
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

/// All dead letters, or those of one user, in the order of the log.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn dead_letters(
    settings: &Settings,
    filter: Option<&UserFilter>,
) -> anyhow::Result<Vec<DeadLetter>> {
    let pool = read_model::pool(settings)?;
    let tenant = filter.and_then(|filter| filter.tenant.as_ref());
    let rows = dead_letters::list(&pool, tenant, filter.map(|filter| filter.user)).await?;
    Ok(rows.into_iter().map(DeadLetter::from).collect())
}

impl From<ListedRow> for DeadLetter {
    fn from(row: ListedRow) -> Self {
        let reason = Reason::stored(&row.reason, row.detail);
        Self {
            id: format!("{}:{}:{}", row.topic, row.partition, row.offset),
            topic: row.topic,
            partition: row.partition,
            offset: row.offset,
            tenant_id: row.tenant,
            user_id: row.user,
            reason: reason.code.to_string(),
            detail: reason.to_string(),
            parked_at: row.parked_at,
            size: row.size,
        }
    }
}

/// The dead letter with this id, if there is one.
///
/// # Errors
/// PostgreSQL can't be asked.
pub async fn dead_letter(settings: &Settings, id: &LetterId) -> anyhow::Result<Option<WholeLetter>> {
    let name = id.to_string();
    let found = dead_letters(settings, None).await?.into_iter().find(|letter| letter.id == name);
    let Some(letter) = found else { return Ok(None) };
    let record = dead_letters::record(&read_model::pool(settings)?, id.place()).await?;
    Ok(record.map(|record| {
        let headers = Raw::read_headers(record.headers, record.are_headers_raw).unwrap_or_default();
        WholeLetter {
            letter,
            record_time: record.time,
            headers: headers.into_iter().map(with_readable_name).collect(),
            key: record.key,
            value: record.value,
        }
    }))
}

/// Replaces the name of a header if it can't be shown.
fn with_readable_name((name, value): (String, Vec<u8>)) -> (String, Vec<u8>) {
    if name == UNREADABLE { ("(a name that is not UTF-8)".to_owned(), value) } else { (name, value) }
}
