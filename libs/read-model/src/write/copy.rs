//! Copies the rows of whole partitions into a generation that has none of them: one row for each
//! user, whatever the number of events.

use super::{
    CredentialRow, Effects, Store, TombstoneRow, UserRow,
    copy_format::{CopyFormat, Row},
    effects::stored_version,
    ownership::{self, Epochs},
};
use crate::{SearchSecret, generation};
use events_schema::{Partition, Timestamp};
use sqlx::PgConnection;

/// Bytes that are sent at once.
const CHUNK: usize = 1 << 20;
/// Users that are copied at once, which bounds the memory that their rows take.
const USERS_AT_ONCE: usize = 1_000;

const USERS: &str = "COPY {g}.users (tenant_id, id, version, created_at, claims, provider_id, provider_url, subject_id, body, creation_digest, \
    log_partition, log_offset, key_id, terms) FROM STDIN (FORMAT binary)";
const TOMBSTONES: &str = "COPY {g}.tombstones (tenant_id, id, version, deleted_at, log_partition, log_offset) FROM STDIN (FORMAT binary)";
const CREDENTIALS: &str = "COPY {g}.credentials (tenant_id, user_id, id, created_at, issued, status, body, log_partition, log_offset) \
    FROM STDIN (FORMAT binary)";

/// What an interrupted copy has left of a partition.
const CLEAR: [&str; 5] = [
    "DELETE FROM {g}.users WHERE log_partition = $1",
    "DELETE FROM {g}.tombstones WHERE log_partition = $1",
    "DELETE FROM {g}.credentials WHERE log_partition = $1",
    "DELETE FROM {g}.rejections WHERE partition = $1",
    "DELETE FROM {g}.dead_letters WHERE partition = $1",
];

/// A dead letter may name a user whose deletion is in another partition.
const REMOVE_LETTERS: &str = "DELETE FROM {g}.dead_letters d \
    WHERE EXISTS (SELECT FROM {g}.tombstones t WHERE t.tenant_id = ANY (ARRAY[d.tenant_id]) AND t.id = d.user_id)";

impl Store {
    /// Commits the effects of a part of the log that nothing was committed of, and the rows of its
    /// users. The generation must not be live, nor keep postings yet.
    ///
    /// # Errors
    /// The commit failed, or a row could not be made.
    pub async fn copy(
        &self,
        mut effects: Effects,
        users: impl Iterator<Item = serde_json::Result<UserRow>>,
        epochs: &Epochs,
    ) -> sqlx::Result<()> {
        let mut transaction = self.pool.begin().await?;
        let partitions: Vec<Partition> = effects.spans.keys().copied().collect();
        ownership::lock(&mut transaction, self.generation, &partitions).await?;
        self.copy_users(&mut transaction, users).await?;
        let take_over = self.forget_on(&mut transaction, &mut effects).await?;
        let tombstones = std::mem::take(&mut effects.tombstones);
        self.copy_rows(&mut transaction, TOMBSTONES, &tombstones, push_tombstone).await?;
        let credentials = std::mem::take(&mut effects.credentials);
        self.copy_rows(&mut transaction, CREDENTIALS, &credentials, push_credential).await?;
        self.commit_erased(&mut transaction, &effects, epochs, take_over).await?;
        transaction.commit().await
    }

    async fn copy_users(
        &self,
        connection: &mut PgConnection,
        mut users: impl Iterator<Item = serde_json::Result<UserRow>>,
    ) -> sqlx::Result<()> {
        let secret = &self.secret;
        loop {
            let next: Result<_, _> = users.by_ref().take(USERS_AT_ONCE).collect();
            let users = next.map_err(|error| sqlx::Error::Decode(error.into()))?;
            let mut effects = Effects { users, ..Effects::default() };
            if effects.users.is_empty() {
                return Ok(());
            }
            let take_over = self.forget_on(connection, &mut effects).await?;
            self.copy_rows(connection, USERS, &effects.users, |user, row| push_user(user, secret, row))
                .await?;
            take_over.carry_out(connection).await?;
        }
    }

    /// Removes what an interrupted copy has left of a partition.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn clear_partition(&self, partition: i32) -> sqlx::Result<()> {
        let mut transaction = self.pool.begin().await?;
        // These look at every row.
        sqlx::query("SET LOCAL enable_seqscan = on").execute(&mut *transaction).await?;
        for sql in CLEAR {
            let clear = sqlx::query(generation::statement(sql, self.generation));
            clear.bind(partition).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    /// Removes the dead letters of users whose deletion was copied with another partition.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn remove_letters_of_deleted(&self) -> sqlx::Result<()> {
        sqlx::query(generation::statement(REMOVE_LETTERS, self.generation))
            .execute(&self.pool)
            .await
            .map(drop)
    }

    async fn copy_rows<T>(
        &self,
        connection: &mut PgConnection,
        statement: &str,
        rows: &[T],
        push: impl Fn(&T, &mut Row<'_>),
    ) -> sqlx::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut copy = connection.copy_in_raw(&generation::text(statement, self.generation)).await?;
        let mut format = CopyFormat::new();
        for row in rows {
            push(row, &mut format.row());
            if format.len() >= CHUNK {
                copy.send(format.take()).await?;
            }
        }
        copy.send(format.end()).await?;
        copy.finish().await.map(drop)
    }
}

fn push_user(user: &UserRow, secret: &SearchSecret, row: &mut Row<'_>) {
    // A map with string keys and finite numbers can always be printed.
    let claims = serde_json::to_string(&user.claims).unwrap_or_default();
    let terms = secret.key(&user.key.tenant).of_user(&user.claims, user.link());
    row.text(user.key.tenant.as_str()).uuid(user.key.user).big(stored_version(user.version));
    row.time(user.created_at.map(Timestamp::get)).json(&claims).opt(user.provider_id, Row::uuid);
    row.opt(user.provider_url.as_deref(), Row::text).opt(user.subject_id.as_deref(), Row::text);
    row.text(&user.body).bytes(user.creation_digest.as_ref().map_or(&[], |digest| digest));
    row.int(user.at.0).big(user.at.1).opt(user.key_id, Row::uuid).bigs(&terms);
}

fn push_tombstone(tombstone: &TombstoneRow, row: &mut Row<'_>) {
    row.text(tombstone.key.tenant.as_str()).uuid(tombstone.key.user).big(stored_version(tombstone.version));
    row.time(Some(tombstone.deleted_at.get())).int(tombstone.at.0).big(tombstone.at.1);
}

fn push_credential(credential: &CredentialRow, row: &mut Row<'_>) {
    let (user, id) = &credential.key;
    row.text(user.tenant.as_str()).uuid(user.user).uuid(*id).time(Some(credential.created_at.get()));
    row.bool(credential.body.is_some()).opt(credential.status, Row::text);
    row.opt(credential.body.as_deref(), Row::text).int(credential.at.0).big(credential.at.1);
}
