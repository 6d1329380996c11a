//! How many users were created, updated and deleted, by tenant, identity provider and day.
//!
//! Who did what on which day follows from the plain headers. Which provider a user has is personal,
//! and is kept apart: a user counts under the provider of now, and a deleted user under none.

mod apply;

use crate::{Event, Kind, Projection, Refusal, Table, Tables};
use events_schema::{TenantId, UserKey, personal::Personal};
use serde_json::{Value, json};
use sqlx::Row as _;
use time::Date;

/// The projection `statistics`.
pub struct Statistics;

/// What an event changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Something happened to a user.
    Activity {
        /// The user.
        user: UserKey,
        /// The day, in UTC.
        day: Date,
        /// What happened.
        action: Action,
    },
    /// The user has this provider from now on, or none.
    Link {
        /// The user.
        user: UserKey,
        /// The provider's id, or its URL if it has no id.
        provider: Option<String>,
    },
}

/// What happened to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The user was created.
    Create,
    /// The user was updated.
    Update,
    /// The user was deleted.
    Delete,
}

const QUERY: &str = "\
SELECT a.day::text AS day, l.provider, sum(a.creates)::bigint AS creates, sum(a.updates)::bigint AS updates, sum(a.deletes)::bigint AS deletes \
FROM {p}.activity a LEFT JOIN {p}.links l ON l.tenant_id = a.tenant_id AND l.user_id = a.user_id \
WHERE a.tenant_id = $1 GROUP BY a.day, l.provider ORDER BY a.day, l.provider NULLS FIRST";

impl Projection for Statistics {
    type Change = Change;

    const NAME: &'static str = "statistics";
    const FOLD_VERSION: i32 = 1;
    const TABLES: &'static [Table] = &[Table::plain("activity"), Table::personal("links")];
    const SQL: &'static str = include_str!("statistics/tables.sql");

    fn fold(event: &Event) -> Result<Vec<Change>, Refusal> {
        let (user, day) = (event.user.clone(), event.time.get().date());
        let action = match event.kind {
            Kind::Created { .. } => Action::Create,
            Kind::Updated { .. } => Action::Update,
            Kind::Deleted => Action::Delete,
        };
        let link = event
            .personal()
            .map(|personal| Change::Link { user: user.clone(), provider: provider(personal) });
        Ok([Change::Activity { user, day, action }].into_iter().chain(link).collect())
    }

    async fn apply(tables: &mut Tables<'_>, changes: Vec<Change>) -> sqlx::Result<()> {
        apply::apply(tables, changes).await
    }

    async fn query(tables: &mut Tables<'_>, tenant: &TenantId) -> sqlx::Result<Value> {
        let query = sqlx::query(tables.sql(QUERY)).bind(tenant.as_str());
        let rows = query.fetch_all(tables.connection()).await?;
        let row = |row: &sqlx::postgres::PgRow| {
            Ok(json!({
                "day": row.try_get::<String, _>("day")?,
                "provider": row.try_get::<Option<String>, _>("provider")?,
                "creates": row.try_get::<i64, _>("creates")?,
                "updates": row.try_get::<i64, _>("updates")?,
                "deletes": row.try_get::<i64, _>("deletes")?,
            }))
        };
        rows.iter().map(row).collect::<sqlx::Result<Vec<Value>>>().map(Value::Array)
    }
}

fn provider(personal: &Personal) -> Option<String> {
    let link = personal.authentication_provider.as_ref()?;
    link.provider_id.map(|id| id.to_string()).or_else(|| link.url.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use events_schema::{Timestamp, personal::AuthenticationProvider};
    use uuid::Uuid;

    fn event(kind: Kind) -> Event {
        let user = UserKey { tenant: "acme".parse().unwrap(), user: Uuid::nil() };
        Event { user, sequence: 1, time: Timestamp::from_unix_millis(86_400_000).unwrap(), kind }
    }

    fn linked(provider_id: Option<Uuid>, url: Option<&str>) -> Option<Personal> {
        let url = url.map(str::to_owned);
        let link = AuthenticationProvider { provider_id, url, subject_id: "s".to_owned() };
        Some(Personal { claims: Default::default(), authentication_provider: Some(link) })
    }

    fn links(kind: Kind) -> Vec<Option<String>> {
        let changes = Statistics::fold(&event(kind)).unwrap();
        let link = |change| match change {
            Change::Link { provider, .. } => Some(provider),
            Change::Activity { .. } => None,
        };
        changes.into_iter().filter_map(link).collect()
    }

    #[test]
    fn an_event_is_an_action_of_its_day() {
        let changes = Statistics::fold(&event(Kind::Deleted)).unwrap();
        let [Change::Activity { day, action, .. }] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!((day.to_string().as_str(), *action), ("1970-01-02", Action::Delete));
    }

    #[test]
    fn the_id_of_a_provider_comes_before_its_url() {
        let (id, url) = (Uuid::nil(), "https://idp.example");
        for (personal, provider) in [
            (linked(Some(id), Some(url)), vec![Some(id.to_string())]),
            (linked(None, Some(url)), vec![Some(url.to_owned())]),
            (linked(None, None), vec![None]),
            (Some(Personal { claims: Default::default(), authentication_provider: None }), vec![None]),
            (None, vec![]),
        ] {
            assert_eq!(links(Kind::Updated { personal }), provider);
        }
    }
}
