//! A projection that fails where a test tells it to.

use crate::{Event, Projection, Refusal, Table, Tables};
use events_schema::{TenantId, UserKey};
use serde_json::{Value, json};
use service_kit::failpoint;

/// Counts events. An event whose claims have `fragile` fails in that way, while the failpoint
/// `projection.<way>` is on: `refuse`, `panic` or `slow`.
pub(crate) struct Fragile;

/// An event.
pub(crate) struct Seen {
    user: UserKey,
    is_slow: bool,
}

impl Projection for Fragile {
    type Change = Seen;

    const NAME: &'static str = "fragile";
    const FOLD_VERSION: i32 = 1;
    const TABLES: &'static [Table] = &[Table::plain("seen")];
    const SQL: &'static str =
        "CREATE TABLE {p}.seen (tenant_id text COLLATE \"C\" PRIMARY KEY, events bigint NOT NULL)";

    // A test wants the panic.
    #[allow(clippy::panic)]
    fn fold(event: &Event) -> Result<Vec<Seen>, Refusal> {
        let way = event.personal().and_then(|personal| personal.claims.get("fragile")?.as_str());
        match way {
            Some("refuse") if failpoint::is_on("projection.refuse") => Err(Refusal("a test wants it")),
            Some("panic") if failpoint::is_on("projection.panic") => panic!("a test wants it"),
            _ => {
                let is_slow = way == Some("slow") && failpoint::is_on("projection.slow");
                Ok(vec![Seen { user: event.user.clone(), is_slow }])
            }
        }
    }

    async fn apply(tables: &mut Tables<'_>, changes: Vec<Seen>) -> sqlx::Result<()> {
        for Seen { user, is_slow } in changes {
            if is_slow {
                sqlx::query("SELECT pg_sleep(600)").execute(tables.connection()).await?;
            }
            let add = "INSERT INTO {p}.seen AS s (tenant_id, events) VALUES ($1, 1) ON CONFLICT (tenant_id) DO UPDATE SET events = s.events + 1";
            sqlx::query(tables.sql(add)).bind(user.tenant.as_str()).execute(tables.connection()).await?;
        }
        Ok(())
    }

    async fn query(tables: &mut Tables<'_>, tenant: &TenantId) -> sqlx::Result<Value> {
        let sql = tables.sql("SELECT events FROM {p}.seen WHERE tenant_id = $1");
        let events: Option<i64> =
            sqlx::query_scalar(sql).bind(tenant.as_str()).fetch_optional(tables.connection()).await?;
        Ok(json!({ "events": events.unwrap_or_default() }))
    }
}
