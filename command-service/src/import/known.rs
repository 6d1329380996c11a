//! What need not be appended: the read model knows it, or it went in a moment ago.

use super::{Fact, Identity, Kind};
use events_schema::TenantId;
use sqlx::PgPool;
use std::collections::HashSet;
use uuid::Uuid;

/// Users that are or were there. A subquery for each, since an `EXISTS` could be answered by hashing the whole tenant.
const USERS: &str = "\
SELECT k.user_id, k.id FROM unnest($2::uuid[], $3::uuid[]) k(user_id, id) \
WHERE (SELECT u.version FROM live.users u WHERE u.tenant_id = $1 AND u.id = k.user_id) IS NOT NULL \
    OR (SELECT t.version FROM live.tombstones t WHERE t.tenant_id = $1 AND t.id = k.user_id) IS NOT NULL";

/// Credentials that were issued, which are those with a body, and those of deleted users, of which none is kept.
const CREDENTIALS: &str = "\
SELECT k.user_id, k.id FROM unnest($2::uuid[], $3::uuid[]) k(user_id, id) \
WHERE (SELECT c.body IS NOT NULL FROM live.credentials c WHERE c.tenant_id = $1 AND c.user_id = k.user_id AND c.id = k.id) \
    OR (SELECT t.version FROM live.tombstones t WHERE t.tenant_id = $1 AND t.id = k.user_id) IS NOT NULL";

/// The read model, asked about many at once.
pub(super) struct Known<'k> {
    pub(super) pool: &'k PgPool,
    pub(super) tenant: &'k TenantId,
    pub(super) kind: Kind,
}

impl Known<'_> {
    /// Those of the facts that are known.
    pub(super) async fn of(&self, facts: &[Fact]) -> sqlx::Result<HashSet<Identity>> {
        let (users, ids): (Vec<Uuid>, Vec<Uuid>) = facts.iter().map(|fact| fact.identity).unzip();
        let sql = match self.kind {
            Kind::Users => USERS,
            Kind::Credentials => CREDENTIALS,
        };
        let rows = sqlx::query_as(sql).bind(self.tenant.as_str()).bind(users).bind(ids).fetch_all(self.pool);
        Ok(rows.await?.into_iter().collect())
    }
}

/// How many are remembered at least.
const REMEMBERED: usize = 500_000;

/// What went in lately and may not be visible yet. Whatever falls out of it again costs a record without effect, no more.
#[derive(Default)]
pub(super) struct Recent {
    young: HashSet<Identity>,
    old: HashSet<Identity>,
}

impl Recent {
    /// Remembers; whether it had not been met before.
    pub(super) fn is_new(&mut self, identity: Identity) -> bool {
        if self.young.len() >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        !self.old.contains(&identity) && self.young.insert(identity)
    }
}
