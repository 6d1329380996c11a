//! What a commit that erases users does beside moving a checkpoint: their keys are destroyed, and nothing personal of them is left in any
//! generation. One transaction, as far as one reaches: what is in another database, or in a cache that does not answer, is put down in
//! `rollcall.erasures` by that transaction, and worked off until it is done.

use super::{
    postgres::{Announce, Store},
    sql,
};
use crate::{
    effects::Effects,
    fence::{self, Epochs},
    generation,
};
use domain::codec::owner;
use events_schema::UserKey;
use key_store::{Keys, Owner};
use service_kit::fault;
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What a commit has to know of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cached {
    /// The users' bodies are known to be gone from it.
    Marked,
    /// It did not answer.
    Unknown,
}

/// Held by deletions (shared) and by whoever keeps a record that lies outside of its owner's partition.
const STRAYS_LOCK: i64 = 0x726f_6c6c_7374_7261;

type Columns<'k> = (Vec<&'k str>, Vec<Uuid>);

fn columns<'k>(keys: impl IntoIterator<Item = &'k UserKey>) -> Columns<'k> {
    keys.into_iter().map(|key| (key.tenant.as_str(), key.user)).unzip()
}

impl Store {
    /// Commits a batch: everything or nothing.
    ///
    /// # Errors
    /// Where the answer was lost, it may have been committed all the same: ask the checkpoints.
    pub async fn commit(&self, effects: &mut Effects, epochs: &Epochs, cached: Cached) -> sqlx::Result<()> {
        let is_plain = effects.tombstones.is_empty()
            && effects.late.is_empty()
            && effects.restored.is_empty()
            && effects.strays().is_empty();
        if self.announce == Announce::Yes && is_plain {
            return self.commit_on(&self.pool, effects, epochs).await;
        }
        let mut transaction = self.pool.begin().await?;
        // First of all: whoever waits for rows holds the checkpoints, so nobody waits in a circle.
        let partitions: Vec<_> = effects.spans.keys().copied().collect();
        fence::lock(&mut transaction, self.generation, &partitions).await?;
        match self.announce {
            Announce::Yes => {
                leave_out_gone(&mut transaction, effects).await?;
                self.erase_on(&mut transaction, effects, cached).await?;
            }
            Announce::No => self.forget_on(&mut transaction, effects).await?,
        }
        self.commit_on(&mut *transaction, effects, epochs).await?;
        fault::point("erase.committing");
        transaction.commit().await
    }

    /// Does what the erasures of a batch of the live generation ask for, as a part of its transaction.
    ///
    /// # Errors
    /// The transaction has failed with it.
    pub(crate) async fn erase_on(
        &self,
        connection: &mut PgConnection,
        effects: &Effects,
        cached: Cached,
    ) -> sqlx::Result<()> {
        self.restore_on(connection, effects).await?;
        let gone: BTreeSet<&UserKey> = effects.erased().chain(&effects.late).collect();
        if gone.is_empty() {
            return Ok(());
        }
        // Before any row, as `leave_out_gone` has it, so nobody waits in a circle.
        sqlx::query("SELECT pg_advisory_xact_lock_shared($1)")
            .bind(STRAYS_LOCK)
            .execute(&mut *connection)
            .await?;
        // Whoever builds a generation holds its row while it writes, so that it either sees the tombstones or is seen here.
        let others: Vec<i32> =
            sqlx::query_scalar("SELECT id FROM rollcall.generations WHERE id <> $1 ORDER BY id FOR UPDATE")
                .bind(self.generation)
                .fetch_all(&mut *connection)
                .await?;
        for other in others {
            blank(connection, other, effects.erased()).await?;
        }
        fault::point("erase.blanked");
        if self.keys.is_apart() {
            put_down(connection, "key", gone).await?;
        } else {
            let owners: Vec<Owner> = gone.into_iter().map(owner).collect();
            Keys::destroy_in(&mut *connection, &owners).await?;
        }
        if cached == Cached::Unknown {
            put_down(connection, "cache", effects.erased()).await?;
        }
        fault::point("erase.destroyed");
        Ok(())
    }

    async fn restore_on(&self, connection: &mut PgConnection, effects: &Effects) -> sqlx::Result<()> {
        if effects.restored.is_empty() {
            return Ok(());
        }
        let (partitions, offsets): (Vec<i32>, Vec<i64>) = effects.restored.iter().copied().unzip();
        let restore = sqlx::query(AssertSqlSafe(self.sql.restore.as_str()));
        restore.bind(partitions).bind(offsets).execute(connection).await.map(drop)
    }

    /// Takes out of a batch of a generation that is being built what the live one has erased meanwhile, whoever was first.
    async fn forget_on(&self, connection: &mut PgConnection, effects: &mut Effects) -> sqlx::Result<()> {
        self.restore_on(connection, effects).await?;
        sqlx::query("SELECT FROM rollcall.generations WHERE id = $1 FOR SHARE")
            .bind(self.generation)
            .execute(&mut *connection)
            .await?;
        let gone = gone_among(connection, effects.touched()).await?;
        effects.forget(&gone);
        Ok(())
    }
}

/// Leaves out what lies in a partition of ours and names a user that is deleted. The user's own partition may be another projector's, whose
/// deletion is either seen here, or sees what is kept here: it holds the same lock, shared with other deletions.
async fn leave_out_gone(connection: &mut PgConnection, effects: &mut Effects) -> sqlx::Result<()> {
    let strays = effects.strays();
    if strays.is_empty() {
        return Ok(());
    }
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(STRAYS_LOCK).execute(&mut *connection).await?;
    let gone = gone_among(connection, strays).await?;
    effects.leave_out(&gone);
    Ok(())
}

/// Those of these users that the live generation has deleted.
async fn gone_among(
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
    // Only a number of ours goes into the text.
    let blank = sql::BLANK.replace("{g}", &generation::schema(other));
    sqlx::query(AssertSqlSafe(blank)).bind(tenants).bind(ids).execute(connection).await.map(drop)
}

/// Puts a step down that can't be done in the transaction.
async fn put_down<'k>(
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
