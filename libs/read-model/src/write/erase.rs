//! Erasure: a commit that deletes users also destroys their keys and removes their personal data
//! from every generation, in the same transaction. Steps that this transaction can't reach (a
//! key in another database, a cache that does not answer) become rows in `rollcall.erasures`, and
//! the projector retries them until they are done.

use super::{Effects, InvalidationStatus, Store};
use crate::{generation, personal_tables};
use domain::codec::owner;
use events_schema::{ReasonCode, UserKey};
use key_store::{Keys, Owner};
use service_kit::failpoint;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use uuid::Uuid;

/// The advisory lock that deletions hold shared, and a commit holds exclusively that stores a
/// record outside of its user's partition.
const STRAYS_LOCK: i64 = 0x726f_6c6c_7374_7261;

/// Removes all personal data of users from a generation that is not the live one. The rows stay,
/// with their versions: a generation that is being built has yet to fold the deletion.
const BLANK: &str = "\
WITH gone AS (SELECT * FROM unnest($1::text[], $2::uuid[]) AS r(tenant_id, id)), \
    credentials AS (DELETE FROM {g}.credentials c USING gone WHERE c.tenant_id = ANY (ARRAY[gone.tenant_id]) AND c.user_id = gone.id), \
    terms AS MATERIALIZED (SELECT term, u.created_at, u.id \
        FROM gone JOIN {g}.users u ON u.tenant_id = ANY (ARRAY[gone.tenant_id]) AND u.id = gone.id, unnest(u.terms) term), \
    postings AS (DELETE FROM {g}.postings p USING terms o \
        WHERE p.term = ANY (ARRAY[o.term]) AND p.created_at = o.created_at AND p.user_id = o.id), \
    letters AS (UPDATE {g}.dead_letters d SET key = NULL, value = NULL, headers = '[]', raw_headers = '[]' FROM gone \
        WHERE d.tenant_id = ANY (ARRAY[gone.tenant_id]) AND d.user_id = gone.id) \
UPDATE {g}.users u SET claims = '{}', provider_id = NULL, provider_url = NULL, subject_id = NULL, body = '', creation_digest = '', terms = '{}' \
FROM gone WHERE u.tenant_id = ANY (ARRAY[gone.tenant_id]) AND u.id = gone.id";

/// Takes deleted users over from the live generation into one that has parked them. Their queue was
/// blanked, so the deletion in it can't be folded any more. A user whose data key is missing needs
/// no queue: the fold lets the deletion pass.
///
/// A letter of the user is in the generation, so the user's partition is, too, and no later copy
/// brings the tombstone.
const TAKE_OVER: &str = "\
WITH gone AS (SELECT t.* FROM unnest($1::text[], $2::uuid[]) AS r(tenant_id, id) \
        JOIN live.tombstones t ON t.tenant_id = ANY (ARRAY[r.tenant_id]) AND t.id = r.id \
        WHERE EXISTS (SELECT FROM rollcall.generations g JOIN rollcall.generations l ON l.log_epoch = g.log_epoch \
                WHERE g.id = $3 AND g.id <> l.id AND l.state = 'live') \
            AND EXISTS (SELECT FROM {g}.dead_letters d WHERE d.tenant_id = ANY (ARRAY[t.tenant_id]) AND d.user_id = t.id \
                AND d.topic = 'users' AND d.at_home AND d.reason <> ALL ($4))), \
    letters AS (DELETE FROM {g}.dead_letters d USING gone WHERE d.tenant_id = ANY (ARRAY[gone.tenant_id]) AND d.user_id = gone.id), \
    rejections AS (DELETE FROM {g}.rejections r USING gone \
        WHERE r.partition = ANY (ARRAY[gone.log_partition]) AND r.log_offset = gone.log_offset), \
    users AS (DELETE FROM {g}.users u USING gone WHERE u.tenant_id = ANY (ARRAY[gone.tenant_id]) AND u.id = gone.id) \
INSERT INTO {g}.tombstones (tenant_id, id, version, deleted_at, log_partition, log_offset) \
SELECT tenant_id, id, version, deleted_at, log_partition, log_offset FROM gone ON CONFLICT DO NOTHING";

/// Deletes rejections of events that were parked for a missing key and had their effect after all.
pub(super) const RESTORE: &str = "\
DELETE FROM {g}.rejections r USING unnest($1::int[], $2::bigint[]) AS f(partition, log_offset) \
WHERE r.partition = ANY (ARRAY[f.partition]) AND r.log_offset = f.log_offset";

/// What has to follow in the transaction of an erasure, once the batch is written: these
/// generations take the deletions over of users whom they have parked.
#[derive(Default)]
#[must_use = "a generation that has parked a deleted user would never learn of the deletion"]
pub(super) struct TakeOver {
    generations: Vec<i32>,
    users: BTreeSet<UserKey>,
}

impl TakeOver {
    pub(super) async fn carry_out(self, connection: &mut PgConnection) -> sqlx::Result<()> {
        for generation in self.generations {
            take_over(connection, generation, &self.users).await?;
        }
        Ok(())
    }
}

type Columns<'k> = (Vec<&'k str>, Vec<Uuid>);

fn columns<'k>(keys: impl IntoIterator<Item = &'k UserKey>) -> Columns<'k> {
    keys.into_iter().map(|key| (key.tenant.as_str(), key.user)).unzip()
}

impl Store {
    /// Erases the users that a batch of the live generation deletes. The other generations are
    /// locked until the transaction ends.
    pub(super) async fn erase_on(
        &self,
        connection: &mut PgConnection,
        effects: &Effects,
        invalidation: InvalidationStatus,
    ) -> sqlx::Result<TakeOver> {
        self.restore_on(connection, effects).await?;
        let gone: BTreeSet<&UserKey> = effects.erased().chain(&effects.late).collect();
        if gone.is_empty() {
            return Ok(TakeOver::default());
        }
        // Before any row, as in `leave_out_deleted`: this rules out deadlocks.
        sqlx::query("SELECT pg_advisory_xact_lock_shared($1)")
            .bind(STRAYS_LOCK)
            .execute(&mut *connection)
            .await?;
        // A rebuild holds the row of its generation while it writes. So either it sees the
        // tombstones, or its rows are seen here.
        let others: Vec<i32> =
            sqlx::query_scalar("SELECT id FROM rollcall.generations WHERE id <> $1 ORDER BY id FOR UPDATE")
                .bind(self.generation)
                .fetch_all(&mut *connection)
                .await?;
        for other in &others {
            blank(connection, *other, effects.erased()).await?;
        }
        if effects.erased().next().is_some() {
            let (tenants, ids) = columns(effects.erased());
            personal_tables::erase(connection, &tenants, &ids).await?;
        }
        failpoint::hit("erase.blanked");
        if self.keys.is_separate() {
            defer(connection, "key", gone).await?;
        } else {
            let owners: Vec<Owner> = gone.into_iter().map(owner).collect();
            Keys::destroy_in(&mut *connection, &owners).await?;
        }
        if invalidation == InvalidationStatus::Unconfirmed {
            defer(connection, "cache", effects.erased()).await?;
        }
        failpoint::hit("erase.destroyed");
        Ok(TakeOver { generations: others, users: effects.erased().cloned().collect() })
    }

    async fn restore_on(&self, connection: &mut PgConnection, effects: &Effects) -> sqlx::Result<()> {
        if effects.restored.is_empty() {
            return Ok(());
        }
        let (partitions, offsets): (Vec<i32>, Vec<i64>) = effects.restored.iter().copied().unzip();
        let restore = sqlx::query(self.sql.restore.get());
        restore.bind(partitions).bind(offsets).execute(connection).await.map(drop)
    }

    /// Removes data that the live generation has erased from a batch of another one. That takes
    /// over the users whose records the batch sets aside.
    pub(super) async fn forget_on(
        &self,
        connection: &mut PgConnection,
        effects: &mut Effects,
    ) -> sqlx::Result<TakeOver> {
        self.restore_on(connection, effects).await?;
        sqlx::query("SELECT FROM rollcall.generations WHERE id = $1 FOR SHARE")
            .bind(self.generation)
            .execute(&mut *connection)
            .await?;
        let gone = deleted_among(connection, effects.touched()).await?;
        effects.forget(&gone);
        let set_aside = effects.dead_letters.iter().filter_map(|letter| letter.key.as_ref());
        let users = set_aside.filter(|key| gone.contains(key)).cloned().collect();
        Ok(TakeOver { generations: vec![self.generation], users })
    }
}

/// Takes deleted users over into a generation that has parked them.
async fn take_over<'k>(
    connection: &mut PgConnection,
    generation: i32,
    gone: impl IntoIterator<Item = &'k UserKey>,
) -> sqlx::Result<()> {
    let (tenants, ids) = columns(gone);
    if ids.is_empty() {
        return Ok(());
    }
    let take_over = sqlx::query(generation::statement(TAKE_OVER, generation));
    let passed = [ReasonCode::KeyMissing, ReasonCode::Queued].map(ReasonCode::as_str);
    let take_over = take_over.bind(tenants).bind(ids).bind(generation).bind(passed.as_slice());
    take_over.execute(connection).await.map(drop)
}

/// Removes records that name a deleted user but lie outside of the user's partition. Another
/// projector may own that partition. Its deletion is either seen here or sees what is stored here:
/// it holds the same lock, shared with other deletions.
pub(super) async fn leave_out_deleted(
    connection: &mut PgConnection,
    effects: &mut Effects,
) -> sqlx::Result<()> {
    let strays = effects.strays();
    if strays.is_empty() {
        return Ok(());
    }
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(STRAYS_LOCK).execute(&mut *connection).await?;
    let gone = deleted_among(connection, strays).await?;
    effects.leave_out(&gone);
    Ok(())
}

/// Which of these users the live generation has deleted.
pub(crate) async fn deleted_among(
    connection: &mut PgConnection,
    users: BTreeSet<&UserKey>,
) -> sqlx::Result<BTreeSet<UserKey>> {
    let (tenants, ids) = columns(users);
    let rows: Vec<(String, Uuid)> = sqlx::query_as(
        "SELECT k.tenant_id, k.id FROM unnest($1::text[], $2::uuid[]) k(tenant_id, id) \
         WHERE EXISTS (SELECT FROM live.tombstones t WHERE t.tenant_id = ANY (ARRAY[k.tenant_id]) AND t.id = k.id)",
    )
    .bind(tenants)
    .bind(ids)
    .fetch_all(connection)
    .await?;
    let key = |(tenant, user): (String, Uuid)| Some(UserKey { tenant: tenant.parse().ok()?, user });
    Ok(rows.into_iter().filter_map(key).collect())
}

async fn blank<'k>(
    connection: &mut PgConnection,
    other: i32,
    gone: impl IntoIterator<Item = &'k UserKey>,
) -> sqlx::Result<()> {
    let (tenants, ids) = columns(gone);
    let blank = sqlx::query(generation::statement(BLANK, other));
    blank.bind(tenants).bind(ids).execute(connection).await.map(drop)
}

/// Records a step of an erasure that this transaction can't do.
async fn defer<'k>(
    connection: &mut PgConnection,
    step: &str,
    gone: impl IntoIterator<Item = &'k UserKey>,
) -> sqlx::Result<()> {
    let (tenants, ids) = columns(gone);
    sqlx::query(
        "INSERT INTO rollcall.erasures (tenant_id, user_id, step) SELECT *, $3 FROM unnest($1::text[], $2::uuid[]) ON CONFLICT DO NOTHING",
    )
    .bind(tenants)
    .bind(ids)
    .bind(step)
    .execute(connection)
    .await
    .map(drop)
}
