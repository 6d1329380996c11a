//! What the live generation holds of a user, as an export shows it.

use super::{
    records::readable,
    report::{Credential, CurrentUser, DeadLetter, Event, ProjectionRow},
};
use events_schema::{Reason, UserKey, millis};
use read_model::{operate::export as rows, personal_tables};
use serde_json::{Value, value::RawValue};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Notes which events took effect. `folded` are the next offsets to fold, by partition.
pub(super) async fn note_effects(
    connection: &mut PgConnection,
    folded: &BTreeMap<i32, i64>,
    events: &mut [Event],
) -> sqlx::Result<()> {
    let places = events.iter().map(|event| (event.place.partition, event.place.offset));
    let mut reasons = rows::rejections(connection, places).await?;
    for event in events {
        let place = event.place;
        event.reason = reasons.remove(&(place.partition, place.offset));
        let is_folded = folded.get(&place.partition).is_some_and(|next| place.offset < *next);
        event.accepted = is_folded.then_some(event.reason.is_none());
    }
    Ok(())
}

/// The current user.
pub(super) async fn current(
    connection: &mut PgConnection,
    user: &UserKey,
) -> anyhow::Result<Option<CurrentUser>> {
    let current = |row: rows::UserRow| {
        let user = RawValue::from_string(row.body)?;
        anyhow::Ok(CurrentUser { version: row.version, created_at: millis(row.created_at), user })
    };
    rows::user(connection, user).await?.map(current).transpose()
}

/// The user's credentials.
pub(super) async fn credentials(
    connection: &mut PgConnection,
    user: &UserKey,
) -> anyhow::Result<Vec<Credential>> {
    let credential = |row: rows::CredentialRow| {
        let credential = row.body.map(RawValue::from_string).transpose()?;
        let created_at = millis(row.created_at);
        anyhow::Ok(Credential { id: row.id, created_at, status: row.status, credential })
    };
    rows::credentials(connection, user).await?.into_iter().map(credential).collect()
}

/// The user's dead letters, in the order of the log.
pub(super) async fn dead_letters(
    connection: &mut PgConnection,
    user: &UserKey,
) -> sqlx::Result<Vec<DeadLetter>> {
    let letter = |row: rows::DeadLetterRow| {
        let reason = Reason::stored(&row.reason, row.detail);
        DeadLetter {
            id: format!("{}:{}:{}", row.topic, row.partition, row.offset),
            reason: reason.code.to_string(),
            detail: reason.to_string(),
            parked_at: millis(row.parked_at),
            value: row.value.as_deref().map_or(Value::Null, readable),
        }
    };
    Ok(rows::dead_letters(connection, user).await?.into_iter().map(letter).collect())
}

/// The user's rows in personal tables of projections beside the users.
pub(super) async fn projections(
    connection: &mut PgConnection,
    user: &UserKey,
) -> sqlx::Result<Vec<ProjectionRow>> {
    let mut all = Vec::new();
    for table in personal_tables::tables(connection).await? {
        let rows = personal_tables::rows(connection, &table, user).await?;
        let name = table.name();
        all.extend(rows.into_iter().map(|row| ProjectionRow { table: name.to_owned(), row }));
    }
    Ok(all)
}
