//! What the live generation has of a user.

use super::{Credential, Current, Event, Letter, readable};
use events_schema::{Reason, UserKey, millis};
use serde_json::{Value, value::RawValue};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// Puts down which events had their effect, as far as they were folded by then.
pub(super) async fn judge(
    connection: &mut PgConnection,
    folded: &BTreeMap<i32, i64>,
    events: &mut [Event],
) -> sqlx::Result<()> {
    let (partitions, offsets): (Vec<i32>, Vec<i64>) =
        events.iter().map(|event| (event.place.partition, event.place.offset)).unzip();
    let rows: Vec<(i32, i64, String)> = sqlx::query_as(
        "SELECT r.partition, r.log_offset, r.reason FROM unnest($1::int[], $2::bigint[]) e(partition, log_offset) \
         JOIN live.rejections r ON r.partition = ANY (ARRAY[e.partition]) AND r.log_offset = e.log_offset",
    )
    .bind(partitions)
    .bind(offsets)
    .fetch_all(connection)
    .await?;
    let mut reasons: BTreeMap<_, _> =
        rows.into_iter().map(|(partition, offset, reason)| ((partition, offset), reason)).collect();
    for event in events {
        let place = event.place;
        event.reason = reasons.remove(&(place.partition, place.offset));
        let is_folded = folded.get(&place.partition).is_some_and(|next| place.offset < *next);
        event.accepted = is_folded.then_some(event.reason.is_none());
    }
    Ok(())
}

/// The user as they are now.
pub(super) async fn current(
    connection: &mut PgConnection,
    user: &UserKey,
) -> anyhow::Result<Option<Current>> {
    let row: Option<(i64, OffsetDateTime, String)> =
        sqlx::query_as("SELECT version, created_at, body FROM live.users WHERE tenant_id = $1 AND id = $2")
            .bind(user.tenant.as_str())
            .bind(user.user)
            .fetch_optional(connection)
            .await?;
    let current = |(version, created_at, body)| {
        anyhow::Ok(Current { version, created_at: millis(created_at), user: RawValue::from_string(body)? })
    };
    row.map(current).transpose()
}

type CredentialRow = (Uuid, OffsetDateTime, Option<String>, Option<String>);

/// The user's credentials.
pub(super) async fn credentials(
    connection: &mut PgConnection,
    user: &UserKey,
) -> anyhow::Result<Vec<Credential>> {
    let rows: Vec<CredentialRow> = sqlx::query_as(
        "SELECT id, created_at, status, body FROM live.credentials WHERE tenant_id = $1 AND user_id = $2 ORDER BY created_at, id",
    )
    .bind(user.tenant.as_str())
    .bind(user.user)
    .fetch_all(connection)
    .await?;
    let credential = |(id, created_at, status, body): CredentialRow| {
        let credential = body.map(RawValue::from_string).transpose()?;
        anyhow::Ok(Credential { id, created_at: millis(created_at), status, credential })
    };
    rows.into_iter().map(credential).collect()
}

type LetterRow = (String, i32, i64, String, Option<String>, OffsetDateTime, Option<Vec<u8>>);

/// The user's dead letters, in the order of the log.
pub(super) async fn letters(connection: &mut PgConnection, user: &UserKey) -> sqlx::Result<Vec<Letter>> {
    let rows: Vec<LetterRow> = sqlx::query_as(
        "SELECT topic, partition, log_offset, reason, detail, parked_at, value FROM live.dead_letters \
         WHERE tenant_id = $1 AND user_id = $2 ORDER BY topic DESC, partition, log_offset",
    )
    .bind(user.tenant.as_str())
    .bind(user.user)
    .fetch_all(connection)
    .await?;
    let letter = |(topic, partition, offset, code, detail, parked_at, value): LetterRow| {
        let reason = Reason::stored(&code, detail);
        Letter {
            id: format!("{topic}:{partition}:{offset}"),
            reason: reason.code.to_string(),
            detail: reason.to_string(),
            parked_at: millis(parked_at),
            value: value.as_deref().map_or(Value::Null, readable),
        }
    };
    Ok(rows.into_iter().map(letter).collect())
}
