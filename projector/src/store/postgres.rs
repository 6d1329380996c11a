//! A generation's tables: states in, effects out. One round trip each.

use super::sql;
use crate::{
    batch::{Batch, KEPT_CREDENTIALS, States},
    effects::{Effects, Span},
    fence::Epochs,
    generation, metrics,
    queue::Queue,
};
use anyhow::Context as _;
use domain::evolve::{credential, user::State};
use events_schema::{ReasonCode, Topic, UserKey, credential::Credential, millis};
use key_store::Keys;
use read_model::announcement;
use service_kit::{
    database::{self, Role},
    settings::Settings,
};
use sqlx::{AssertSqlSafe, PgExecutor, PgPool, Row as _, postgres::PgArguments, query::Query, types::Uuid};
use std::sync::Arc;
use time::OffsetDateTime;

/// Whether a generation's progress is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announce {
    /// It is the live one.
    Yes,
    /// It is being built.
    No,
}

/// The pool of a projector.
///
/// # Errors
/// `DATABASE_URL` is missing or can't be read.
pub fn pool(settings: &Settings) -> anyhow::Result<PgPool> {
    Ok(database::by_key(database::pool(settings.database_url()?, Role::Projector, 4)?))
}

/// The statements on one generation. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// The database.
    pub pool: PgPool,
    /// The generation.
    pub generation: i32,
    pub(super) announce: Announce,
    /// Under which what is personal in events is sealed.
    pub keys: Keys,
    pub(super) sql: Arc<Statements>,
}

pub(super) struct Statements {
    load_users: String,
    load_queues: String,
    load_credentials: String,
    commit: String,
    load_bodies: String,
    pub(super) load_queue: String,
    pub(super) settle: String,
    pub(super) reasons: String,
    pub(super) restore: String,
}

/// What the cache holds of a user, as it stands in the read model.
pub struct Cached {
    tenant: String,
    user: Uuid,
    /// The version.
    pub version: i64,
    /// The body; `None`: a mark.
    pub body: Option<String>,
    /// The last fact.
    pub offset: i64,
}

impl Cached {
    /// The user, as keys have it.
    pub fn key(&self) -> String {
        format!("{}/{}", self.tenant, self.user)
    }
}

/// Whose, where, which version it would give, whether it waits for a key.
type QueueColumns = (String, Uuid, i32, i64, Option<i64>, bool);

/// Which of those asked for, creation, status, body, offset of the last fact.
type CredentialColumns = (i64, OffsetDateTime, Option<String>, Option<String>, i64);

impl Store {
    /// The statements on a generation.
    pub fn new(pool: PgPool, generation: i32, announce: Announce, keys: Keys) -> Self {
        let on = |sql: &str| sql.replace("{g}", &generation::schema(generation));
        let sql = Arc::new(Statements {
            load_users: on(sql::LOAD_USERS),
            load_queues: on(sql::LOAD_QUEUES),
            load_credentials: on(sql::LOAD_CREDENTIALS),
            commit: on(sql::COMMIT),
            load_bodies: on(sql::LOAD_BODIES),
            load_queue: on(sql::LOAD_QUEUE),
            settle: on(sql::SETTLE),
            reasons: on(sql::REASONS),
            restore: on(sql::RESTORE),
        });
        Self { pool, generation, announce, keys, sql }
    }

    /// The states that a batch folds on.
    ///
    /// # Errors
    /// Postgres can't be asked.
    pub async fn load(&self, batch: &Batch) -> anyhow::Result<States> {
        let owners = batch.owners();
        let keys = async { self.keys.of_all(&owners).await.map_err(anyhow::Error::from) };
        let (mut states, keys) = tokio::try_join!(self.load_rows(batch), keys)?;
        states.keys = keys;
        Ok(states)
    }

    async fn load_rows(&self, batch: &Batch) -> anyhow::Result<States> {
        let mut states = States::default();
        let users: Vec<_> = batch.users().into_iter().cloned().collect();
        let credentials: Vec<_> =
            batch.credentials().into_iter().map(|(key, id)| (key.clone(), id)).collect();
        self.load_credentials(&credentials, &mut states).await?;
        let parked = self.load_users(&users, &mut states).await?;
        self.load_queues(&parked, &mut states).await?;
        Ok(states)
    }

    /// Says which of the users are parked.
    async fn load_users(&self, keys: &[UserKey], states: &mut States) -> anyhow::Result<Vec<UserKey>> {
        let mut all_parked = Vec::new();
        if keys.is_empty() {
            return Ok(all_parked);
        }
        let rows: Vec<(i64, Option<i64>, Option<i64>, bool)> =
            sqlx::query_as(AssertSqlSafe(self.sql.load_users.as_str()))
                .bind(keys.iter().map(|key| key.tenant.as_str()).collect::<Vec<_>>())
                .bind(keys.iter().map(|key| key.user).collect::<Vec<_>>())
                .fetch_all(&self.pool)
                .await?;
        for (n, version, deleted, parked) in rows {
            let key = place(keys, n)?;
            let state = match (version, deleted) {
                (_, Some(version)) => State::Deleted(u64::try_from(version)?),
                (Some(version), None) => State::Present(u64::try_from(version)?),
                (None, None) => State::Unknown,
            };
            states.users.insert(key.clone(), state);
            all_parked.extend(parked.then(|| key.clone()));
        }
        Ok(all_parked)
    }

    async fn load_queues(&self, parked: &[UserKey], states: &mut States) -> anyhow::Result<()> {
        if parked.is_empty() {
            return Ok(());
        }
        let rows: Vec<QueueColumns> = sqlx::query_as(AssertSqlSafe(self.sql.load_queues.as_str()))
            .bind(parked.iter().map(|key| key.tenant.as_str()).collect::<Vec<_>>())
            .bind(parked.iter().map(|key| key.user).collect::<Vec<_>>())
            .bind(ReasonCode::KeyMissing.as_str())
            .fetch_all(&self.pool)
            .await?;
        for (tenant, user, partition, offset, sequence, is_for_key) in rows {
            let key = UserKey { tenant: tenant.parse()?, user };
            let version = states.users.get(&key).map_or(0, |state| state.version());
            let queue = states.parked.entry(key).or_insert_with(|| Queue::new(version, is_for_key));
            queue.push((partition, offset), sequence.map(u64::try_from).transpose()?);
        }
        Ok(())
    }

    async fn load_credentials(&self, keys: &[(UserKey, Uuid)], states: &mut States) -> anyhow::Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let rows: Vec<CredentialColumns> = sqlx::query_as(AssertSqlSafe(self.sql.load_credentials.as_str()))
            .bind(keys.iter().map(|(key, _)| key.tenant.as_str()).collect::<Vec<_>>())
            .bind(keys.iter().map(|(key, _)| key.user).collect::<Vec<_>>())
            .bind(keys.iter().map(|(_, id)| *id).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .await?;
        for (n, created_at, status, body, last) in rows {
            let issued = body.map(|body| serde_json::from_str::<Credential>(&body).map(Box::new)).transpose();
            let status = status.map(|status| serde_json::from_value(status.into())).transpose();
            let state = credential::State {
                created_at: millis(created_at),
                status: status.context("a credential's status can't be read")?,
                // serde's own words could repeat the body.
                issued: issued.map_err(|_| anyhow::anyhow!("a credential's body can't be read"))?,
            };
            states.credentials.insert(place(keys, n)?.clone(), (state, last));
        }
        Ok(())
    }

    /// The same as a part of a transaction.
    ///
    /// # Errors
    /// The transaction has failed with it.
    pub(crate) async fn commit_on(
        &self,
        executor: impl PgExecutor<'_>,
        effects: &Effects,
        epochs: &Epochs,
    ) -> sqlx::Result<()> {
        let query = sqlx::query(AssertSqlSafe(self.sql.commit.as_str())).bind(self.generation);
        let query = bind_spans(query, effects, epochs);
        let query = bind_users(query, effects);
        let query = bind_credentials(query, effects);
        let query =
            bind_dead_letters(query, effects).bind(i64::try_from(KEPT_CREDENTIALS).unwrap_or(i64::MAX));
        let query = query.bind(self.announcements(effects));
        let query = query.bind(column(&effects.users, |row| row.key_id));
        let query = query.bind(column(&effects.dead_letters, |row| row.sequence.map(version)));
        let query = query.bind(column(&effects.dead_letters, |row| row.reason.detail.as_deref()));
        let query = query.bind(column(&effects.dead_letters, |row| row.is_at_home));
        let row = query.fetch_one(executor).await?;
        let displaced: i64 = row.try_get(0)?;
        metrics::DISPLACED.inc_by(u64::try_from(displaced).unwrap_or_default());
        Ok(())
    }

    fn announcements(&self, effects: &Effects) -> Vec<String> {
        let of_users = effects.spans.iter().filter(|((topic, _), _)| *topic == Topic::Users);
        // What happens behind a checkpoint is no progress.
        let of_users = of_users.filter(|(_, span)| self.announce == Announce::Yes && span.from < span.next);
        of_users.map(|((_, partition), span)| self.announcement(effects, *partition, *span)).collect()
    }

    fn announcement(&self, effects: &Effects, partition: i32, span: Span) -> String {
        let (rejected, parked) = (effects.rejected(partition).collect(), effects.parked(partition).collect());
        announcement::batch_committed(self.generation, partition, span.from..span.next, rejected, parked)
    }

    /// What a cache has to hold of a partition for the offsets `from..to`, `limit` users at most.
    ///
    /// # Errors
    /// Postgres can't be asked.
    pub async fn bodies(&self, partition: i32, from: i64, to: i64, limit: i64) -> sqlx::Result<Vec<Cached>> {
        let rows: Vec<(String, Uuid, i64, Option<String>, i64)> =
            sqlx::query_as(AssertSqlSafe(self.sql.load_bodies.as_str()))
                .bind(partition)
                .bind(from)
                .bind(to)
                .bind(limit)
                .fetch_all(&self.pool)
                .await?;
        let cached = |(tenant, user, version, body, offset)| Cached { tenant, user, version, body, offset };
        Ok(rows.into_iter().map(cached).collect())
    }
}

fn place<T>(keys: &[T], n: i64) -> anyhow::Result<&T> {
    usize::try_from(n).ok().and_then(|n| keys.get(n.checked_sub(1)?)).context("a row that was not asked for")
}

type Statement<'q> = Query<'q, sqlx::Postgres, PgArguments>;

// A version of the log fits into 63 bits: `decode_user` sees to it.
fn version(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// One column of rows.
fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

fn bind_spans<'q>(query: Statement<'q>, effects: &'q Effects, epochs: &Epochs) -> Statement<'q> {
    let mut spans: Vec<_> = effects.spans.iter().collect();
    // In the order in which `fence::lock` takes the same rows, so that the two never wait for each other in a circle.
    spans.sort_unstable_by_key(|((topic, partition), _)| (topic.as_str(), *partition));
    query
        .bind(column(&spans, |((topic, _), _)| topic.as_str()))
        .bind(column(&spans, |((_, partition), _)| *partition))
        .bind(column(&spans, |(_, span)| span.from))
        .bind(column(&spans, |(_, span)| span.next))
        .bind(column(&spans, |(partition, _)| epochs.of(**partition)))
        .bind(column(&spans, |(_, span)| span.time.map(events_schema::Timestamp::get)))
}

fn bind_users<'q>(query: Statement<'q>, effects: &'q Effects) -> Statement<'q> {
    let (users, gone) = (&effects.users, &effects.tombstones);
    query
        .bind(column(users, |row| row.key.tenant.as_str()))
        .bind(column(users, |row| row.key.user))
        .bind(column(users, |row| version(row.version)))
        .bind(column(users, |row| row.claims.as_str()))
        .bind(column(users, |row| row.provider_id))
        .bind(column(users, |row| row.provider_url.as_deref()))
        .bind(column(users, |row| row.subject_id.as_deref()))
        .bind(column(users, |row| row.body.as_str()))
        .bind(column(users, |row| row.at.0))
        .bind(column(users, |row| row.at.1))
        .bind(column(users, |row| row.created.as_ref().map(|created| created.at.get())))
        .bind(column(users, |row| row.created.as_ref().map(|created| created.digest.to_vec())))
        .bind(column(gone, |row| row.key.tenant.as_str()))
        .bind(column(gone, |row| row.key.user))
        .bind(column(gone, |row| version(row.version)))
        .bind(column(gone, |row| row.deleted_at.get()))
        .bind(column(gone, |row| row.at.0))
        .bind(column(gone, |row| row.at.1))
}

fn bind_credentials<'q>(query: Statement<'q>, effects: &'q Effects) -> Statement<'q> {
    let rows = &effects.credentials;
    query
        .bind(column(rows, |row| row.key.0.tenant.as_str()))
        .bind(column(rows, |row| row.key.0.user))
        .bind(column(rows, |row| row.key.1))
        .bind(column(rows, |row| row.state.created_at.get()))
        .bind(column(rows, |row| row.state.status.map(status)))
        .bind(column(rows, |row| row.state.body()))
        .bind(column(rows, |row| row.at.0))
        .bind(column(rows, |row| row.at.1))
        .bind(column(&effects.rejections, |row| row.at.0))
        .bind(column(&effects.rejections, |row| row.at.1))
        .bind(column(&effects.rejections, |row| row.reason))
}

fn status(status: events_schema::credential::Status) -> &'static str {
    use events_schema::credential::Status;
    match status {
        Status::Valid => "valid",
        Status::Suspended => "suspended",
        Status::Revoked => "revoked",
    }
}

fn bind_dead_letters<'q>(query: Statement<'q>, effects: &'q Effects) -> Statement<'q> {
    let rows = &effects.dead_letters;
    query
        .bind(column(rows, |row| row.partition.0.as_str()))
        .bind(column(rows, |row| row.partition.1))
        .bind(column(rows, |row| row.offset))
        .bind(column(rows, |row| row.key.as_ref().map(|key| key.tenant.as_str())))
        .bind(column(rows, |row| row.key.as_ref().map(|key| key.user)))
        .bind(column(rows, |row| row.raw.key.as_deref()))
        .bind(column(rows, |row| row.raw.value.as_deref()))
        .bind(column(rows, |row| row.raw.headers_json().to_string()))
        .bind(column(rows, |row| row.raw.raw_headers().to_string()))
        .bind(column(rows, |row| row.reason.code.as_str()))
        .bind(column(rows, |row| row.time.map(events_schema::Timestamp::get)))
}
