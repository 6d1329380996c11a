//! Applies a batch with at most three statements.

use super::{Action, Change};
use crate::Tables;
use events_schema::UserKey;
use std::collections::BTreeMap;
use time::Date;
use uuid::Uuid;

const ACTIVITY: &str = "\
INSERT INTO {p}.activity AS a (tenant_id, user_id, day, creates, updates, deletes) \
SELECT * FROM unnest($1::text[], $2::uuid[], $3::date[], $4::bigint[], $5::bigint[], $6::bigint[]) \
ON CONFLICT (tenant_id, user_id, day) DO UPDATE SET creates = a.creates + excluded.creates, updates = a.updates + excluded.updates, \
    deletes = a.deletes + excluded.deletes";

/// Most updates leave the link as it is. Then no row is written.
const LINK: &str = "\
INSERT INTO {p}.links (tenant_id, user_id, provider) SELECT n.* FROM unnest($1::text[], $2::uuid[], $3::text[]) n(tenant_id, user_id, provider) \
LEFT JOIN {p}.links l USING (tenant_id, user_id) WHERE l.provider IS DISTINCT FROM n.provider \
ON CONFLICT (tenant_id, user_id) DO UPDATE SET provider = excluded.provider";

const UNLINK: &str = "\
DELETE FROM {p}.links l USING unnest($1::text[], $2::uuid[]) u(tenant_id, id) WHERE l.tenant_id = u.tenant_id AND l.user_id = u.id";

/// Creates, updates and deletes.
type Counts = [i64; 3];

pub(super) async fn apply(tables: &mut Tables<'_>, changes: Vec<Change>) -> sqlx::Result<()> {
    let mut activity: BTreeMap<(UserKey, Date), Counts> = BTreeMap::new();
    let mut links: BTreeMap<UserKey, Option<String>> = BTreeMap::new();
    for change in changes {
        match change {
            Change::Activity { user, day, action } => {
                activity.entry((user, day)).or_default()[index(action)] += 1;
            }
            Change::Link { user, provider } => drop(links.insert(user, provider)),
        }
    }
    count(tables, &activity).await?;
    link(tables, &links).await
}

fn index(action: Action) -> usize {
    match action {
        Action::Create => 0,
        Action::Update => 1,
        Action::Delete => 2,
    }
}

async fn count(tables: &mut Tables<'_>, activity: &BTreeMap<(UserKey, Date), Counts>) -> sqlx::Result<()> {
    let (tenants, ids) = columns(activity.keys().map(|(user, _)| user));
    let counts = |n: usize| activity.values().map(|counts| counts[n]).collect::<Vec<_>>();
    let count = sqlx::query(tables.sql(ACTIVITY))
        .bind(tenants)
        .bind(ids)
        .bind(activity.keys().map(|(_, day)| *day).collect::<Vec<_>>())
        .bind(counts(0))
        .bind(counts(1))
        .bind(counts(2));
    count.execute(tables.connection()).await.map(drop)
}

async fn link(tables: &mut Tables<'_>, links: &BTreeMap<UserKey, Option<String>>) -> sqlx::Result<()> {
    let linked = links.iter().filter_map(|(user, provider)| Some((user, provider.as_deref()?)));
    let (users, providers): (Vec<&UserKey>, Vec<&str>) = linked.unzip();
    if !users.is_empty() {
        let (tenants, ids) = columns(users);
        let link = sqlx::query(tables.sql(LINK)).bind(tenants).bind(ids).bind(providers);
        link.execute(tables.connection()).await?;
    }
    let unlinked = links.iter().filter_map(|(user, provider)| provider.is_none().then_some(user));
    let (tenants, ids) = columns(unlinked);
    if tenants.is_empty() {
        return Ok(());
    }
    let unlink = sqlx::query(tables.sql(UNLINK)).bind(tenants).bind(ids);
    unlink.execute(tables.connection()).await.map(drop)
}

fn columns<'u>(users: impl IntoIterator<Item = &'u UserKey>) -> (Vec<&'u str>, Vec<Uuid>) {
    users.into_iter().map(|user| (user.tenant.as_str(), user.user)).unzip()
}
