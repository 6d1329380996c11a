//! What the read model knows of the owners of keys, in every generation and beside them.

use event_log::{raw::Raw, record_owner::named_users};
use events_schema::UserKey;
use key_store::{KeyWithOrigin, StoredKey};
use read_model::generation::schema;
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What the live generation knows of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// There is, or may be, something sealed under the key. `is_own`: the user's last event is sealed under exactly this one.
    Needed { is_own: bool },
    /// The user is deleted.
    Deleted,
    /// Nobody has ever heard of the user.
    Unheard,
}

/// Whoever has a record that waits has something that a key may yet open.
const STANDINGS: &str = "\
SELECT EXISTS (SELECT FROM live.tombstones t WHERE t.tenant_id = ANY (ARRAY[k.tenant_id]) AND t.id = k.id), \
    EXISTS (SELECT FROM live.users u WHERE u.tenant_id = ANY (ARRAY[k.tenant_id]) AND u.id = k.id) \
        OR EXISTS (SELECT FROM live.dead_letters d WHERE d.tenant_id = ANY (ARRAY[k.tenant_id]) AND d.user_id = k.id), \
    EXISTS (SELECT FROM live.users u WHERE u.tenant_id = ANY (ARRAY[k.tenant_id]) AND u.id = k.id AND u.key_id = k.key_id) \
FROM unnest($1::text[], $2::uuid[], $3::uuid[]) WITH ORDINALITY k(tenant_id, id, key_id, n) ORDER BY k.n";

/// In the order of the page.
pub(super) async fn standings(
    connection: &mut PgConnection,
    page: &[KeyWithOrigin],
) -> anyhow::Result<Vec<Standing>> {
    let rows: Vec<(bool, bool, bool)> = sqlx::query_as(STANDINGS)
        .bind(page.iter().map(|key| key.held.owner.tenant.as_str()).collect::<Vec<_>>())
        .bind(page.iter().map(|key| key.held.owner.id).collect::<Vec<_>>())
        .bind(page.iter().map(|key| key.held.id).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    anyhow::ensure!(rows.len() == page.len(), "the read model did not answer for every key");
    let standing = |(is_deleted, is_needed, is_own)| match (is_deleted, is_needed) {
        (true, _) => Standing::Deleted,
        (false, true) => Standing::Needed { is_own },
        (false, false) => Standing::Unheard,
    };
    Ok(rows.into_iter().map(standing).collect())
}

/// Any sign of an owner in a generation's tables; `{g}` is its schema.
const KNOWN: &str = "\
SELECT k.tenant_id, k.id FROM unnest($1::text[], $2::uuid[]) k(tenant_id, id) \
WHERE EXISTS (SELECT FROM {g}.users u WHERE u.tenant_id = ANY (ARRAY[k.tenant_id]) AND u.id = k.id) \
    OR EXISTS (SELECT FROM {g}.tombstones t WHERE t.tenant_id = ANY (ARRAY[k.tenant_id]) AND t.id = k.id) \
    OR EXISTS (SELECT FROM {g}.credentials c WHERE c.tenant_id = ANY (ARRAY[k.tenant_id]) AND c.user_id = k.id) \
    OR EXISTS (SELECT FROM {g}.dead_letters d WHERE d.tenant_id = ANY (ARRAY[k.tenant_id]) AND d.user_id = k.id)";

/// The same of discarded records.
const DISCARDED: &str = "\
SELECT k.tenant_id, k.id FROM unnest($1::text[], $2::uuid[]) k(tenant_id, id) \
WHERE EXISTS (SELECT FROM rollcall.discarded d WHERE d.tenant_id = ANY (ARRAY[k.tenant_id]) AND d.user_id = k.id)";

/// What names owners outside the live generation's users.
pub(super) struct Elsewhere {
    /// Every generation, the live one too: it may have credentials of a user whom it does not know.
    generations: Vec<i32>,
    /// Whom the records name that are dead letters of nobody.
    named: BTreeSet<UserKey>,
    /// Partitions of `users.events` with discarded records of which nobody noted whom they name.
    unclear: BTreeSet<i32>,
    /// The number of partitions.
    partitions: u32,
}

impl Elsewhere {
    pub(super) async fn look(connection: &mut PgConnection, partitions: u32) -> anyhow::Result<Self> {
        let generations: Vec<i32> = sqlx::query_scalar("SELECT id FROM rollcall.generations ORDER BY id")
            .fetch_all(&mut *connection)
            .await?;
        let mut all_named = BTreeSet::new();
        for generation in &generations {
            all_named.extend(named_by_nobodys_letters(connection, *generation).await?);
        }
        let unclear =
            "SELECT DISTINCT partition FROM rollcall.discarded WHERE topic = 'users' AND NOT is_owner_known";
        let unclear: Vec<i32> = sqlx::query_scalar(unclear).fetch_all(connection).await?;
        Ok(Self { generations, named: all_named, unclear: unclear.into_iter().collect(), partitions })
    }

    /// Those of these keys' owners whom anything names.
    pub(super) async fn known(
        &self,
        connection: &mut PgConnection,
        keys: &[StoredKey],
    ) -> anyhow::Result<BTreeSet<UserKey>> {
        let users: Vec<UserKey> =
            keys.iter().map(|key| UserKey { tenant: key.owner.tenant.clone(), user: key.owner.id }).collect();
        if users.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut known: BTreeSet<UserKey> = users.iter().filter(|user| self.is_named(user)).cloned().collect();
        for generation in &self.generations {
            known.extend(owners(connection, KNOWN.replace("{g}", &schema(*generation)), &users).await?);
        }
        known.extend(owners(connection, DISCARDED.to_owned(), &users).await?);
        Ok(known)
    }

    fn is_named(&self, user: &UserKey) -> bool {
        let partition = i32::try_from(user.partition(self.partitions)).unwrap_or(-1);
        self.named.contains(user) || self.unclear.contains(&partition)
    }
}

/// Only a number of ours goes into the text.
async fn owners(
    connection: &mut PgConnection,
    sql: String,
    users: &[UserKey],
) -> anyhow::Result<Vec<UserKey>> {
    let rows: Vec<(String, Uuid)> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(users.iter().map(|user| user.tenant.as_str()).collect::<Vec<_>>())
        .bind(users.iter().map(|user| user.user).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(|(tenant, user)| Ok(UserKey { tenant: tenant.parse()?, user })).collect()
}

type Letter = (Option<Vec<u8>>, serde_json::Value, bool);

async fn named_by_nobodys_letters(
    connection: &mut PgConnection,
    generation: i32,
) -> anyhow::Result<Vec<UserKey>> {
    let sql = format!(
        "SELECT key, coalesce(raw_headers, headers), raw_headers IS NOT NULL FROM {}.dead_letters WHERE user_id IS NULL",
        schema(generation)
    );
    let rows: Vec<Letter> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection).await?;
    let raw = |(key, headers, is_raw): Letter| Raw {
        key,
        value: None,
        headers: Raw::read_headers(headers, is_raw).unwrap_or_default(),
    };
    Ok(rows.into_iter().map(raw).flat_map(|raw| named_users(&raw).collect::<Vec<_>>()).collect())
}
