//! The report of a migration.

use anyhow::Context as _;
use serde::Serialize;
use service_kit::{
    database::{self, Role},
    kafka::CreatedTopic,
    settings::{AtSetting, Settings},
};
use std::collections::BTreeSet;

/// Our tables and views, as `schema.table`, and their columns, as `schema.table.column`.
const OBJECTS: &str = "\
SELECT n.nspname || '.' || c.relname || coalesce('.' || a.attname, '') \
FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid \
LEFT JOIN LATERAL (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped \
    UNION ALL SELECT NULL) a ON true \
WHERE c.relkind IN ('r', 'v') AND (n.nspname IN ('rollcall', 'live', 'rollcall_keys') OR n.nspname LIKE 'generation\\_%' OR n.nspname LIKE 'projection\\_%')";

/// What a migration created. Empty if everything was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Migrated {
    /// Topics.
    pub topics: Vec<CreatedTopic>,
    /// New tables and views, and new columns of existing ones.
    pub tables: Vec<String>,
}

/// The tables, views and columns that exist.
pub struct Objects(BTreeSet<String>);

impl Objects {
    /// Lists them.
    ///
    /// # Errors
    /// A query failed.
    pub async fn list(settings: &Settings) -> anyhow::Result<Self> {
        let mut all = BTreeSet::new();
        let keys = settings.keys_database_url.as_deref();
        let urls = [
            Some(("DATABASE_URL", settings.database_url()?)),
            keys.map(|url| ("ROLLCALL_KEYS_DATABASE_URL", url)),
        ];
        for (setting, url) in urls.into_iter().flatten() {
            let pool = database::pool(url, Role::Projector, 1)?;
            let found: sqlx::Result<Vec<String>> = sqlx::query_scalar(OBJECTS).fetch_all(&pool).await;
            pool.close().await;
            all.extend(found.context(AtSetting(setting))?);
        }
        Ok(Self(all))
    }

    /// What was created since `before`. Columns of a new table are left out.
    pub fn created_since(&self, before: &Self) -> Vec<String> {
        let new: BTreeSet<_> = self.0.difference(&before.0).cloned().collect();
        let is_listed = |name: &&String| !name.rsplit_once('.').is_some_and(|(table, _)| new.contains(table));
        new.iter().filter(is_listed).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_table_is_said_without_its_columns() {
        let objects = |names: &[&str]| Objects(names.iter().map(|name| (*name).to_owned()).collect());
        let before = objects(&["a.t", "a.t.x"]);
        let after = objects(&["a.t", "a.t.x", "a.t.y", "a.u", "a.u.x"]);
        assert_eq!(after.created_since(&before), ["a.t.y", "a.u"]);
        assert!(after.created_since(&after).is_empty());
    }
}
