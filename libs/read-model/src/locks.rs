//! Advisory locks of the read model.

mod verb_at_work;

pub use verb_at_work::{Verb, VerbAtWork};

use self::verb_at_work::name_of;
use service_kit::instance;
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, PgConnection, PgExecutor, PgPool, Postgres, pool::PoolConnection};
use time::OffsetDateTime;

/// The lock for schema changes: one migration, rebuild step or promotion at a time.
const SCHEMA_LOCK: i64 = 0x726f_6c6c_6361_6c6c;

/// The lock of the verbs that work on generations of the users: one at a time.
const VERB_LOCK: i64 = SCHEMA_LOCK + 1;

/// Whose generations a verb works on. Verbs on different projections do not exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'n> {
    /// The users.
    Users,
    /// A projection beside them.
    Projection(&'n str),
}

impl Subject<'_> {
    fn verb_lock(self) -> i64 {
        match self {
            Self::Users => VERB_LOCK,
            Self::Projection(name) => lock_of("verb", name),
        }
    }
}

/// The key of the lock that has this name.
fn lock_of(kind: &str, name: &str) -> i64 {
    let digest = Sha256::new().chain_update(kind).chain_update("\n").chain_update(name).finalize();
    i64::from_le_bytes(std::array::from_fn(|n| digest[n]))
}

/// The locks of those who fold a generation that is not live, one for each generation.
const FOLD_LOCKS: i32 = 0x666f_6c64;

/// Waits for the lock for schema changes, and holds it until the transaction ends.
///
/// # Errors
/// The statement failed.
pub async fn lock_schema(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(SCHEMA_LOCK).execute(connection).await.map(drop)
}

/// The lock of the verbs that work on generations, held until it is released or the process ends.
pub struct VerbLock(PgConnection);

impl VerbLock {
    /// Takes the lock. `verb` is shown to whoever wants it meanwhile, with the place of this
    /// process.
    ///
    /// # Errors
    /// Another verb is at work ([`VerbAtWork`]), or PostgreSQL can't be asked.
    pub async fn take(pool: &PgPool, subject: Subject<'_>, verb: Verb) -> anyhow::Result<Self> {
        let mut connection = pool.acquire().await?.detach();
        let name = sqlx::query("SELECT set_config('application_name', $1, false)");
        name.bind(name_of(verb, instance::name())).execute(&mut connection).await?;
        let take = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(subject.verb_lock());
        if take.fetch_one(&mut connection).await? {
            return Ok(Self(connection));
        }
        match verb_at_work(pool, subject).await? {
            Some(other) => Err(other.into()),
            None => anyhow::bail!("another verb was at work on generations and has just ended: try again"),
        }
    }

    /// Releases the lock.
    ///
    /// # Errors
    /// PostgreSQL can't be reached any more.
    pub async fn release(self) -> sqlx::Result<()> {
        self.0.close().await
    }
}

/// Takes the lock of the verbs until the transaction ends. `false` if a verb is at work.
///
/// # Errors
/// The query failed.
pub async fn try_lock_verbs_in_transaction(
    connection: &mut PgConnection,
    subject: Subject<'_>,
) -> sqlx::Result<bool> {
    let take = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)");
    take.bind(subject.verb_lock()).fetch_one(connection).await
}

/// The verb that is at work on generations. Its lock ends with the connection of the process that
/// took it.
///
/// # Errors
/// The query failed.
pub async fn verb_at_work(
    executor: impl PgExecutor<'_>,
    subject: Subject<'_>,
) -> sqlx::Result<Option<VerbAtWork>> {
    let row: Option<(String, OffsetDateTime)> = sqlx::query_as(
        "SELECT coalesce(nullif(a.application_name, ''), 'another verb'), coalesce(a.backend_start, now()) \
         FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted \
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND (l.classid::bigint << 32) + l.objid::bigint = $1",
    )
    .bind(subject.verb_lock())
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|(name, since)| VerbAtWork::new(&name, since, subject)))
}

/// A generation that one process at a time may fold beside the live projector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoldKey {
    /// A generation of the users.
    Users(i32),
    /// A generation of a projection, by its schema.
    Projection(String),
}

impl From<i32> for FoldKey {
    fn from(generation: i32) -> Self {
        Self::Users(generation)
    }
}

/// The right to fold a generation, until it is released or dropped, or the process ends.
pub struct FoldLock {
    connection: PoolConnection<Postgres>,
    /// Whether the connection may hold the lock. Then it must not go back to the pool.
    may_be_held: bool,
}

impl FoldLock {
    /// Waits until nobody else folds the generation.
    ///
    /// # Errors
    /// PostgreSQL fails or can't be reached.
    pub async fn wait(pool: &PgPool, key: impl Into<FoldKey>) -> sqlx::Result<Self> {
        let mut lock = Self::on(pool.acquire().await?);
        let wait = match key.into() {
            FoldKey::Users(generation) => {
                sqlx::query("SELECT pg_advisory_lock($1, $2)").bind(FOLD_LOCKS).bind(generation)
            }
            FoldKey::Projection(schema) => {
                sqlx::query("SELECT pg_advisory_lock($1)").bind(lock_of("fold", &schema))
            }
        };
        wait.execute(&mut *lock.connection).await?;
        Ok(lock)
    }

    /// Takes the right to fold the generation, unless somebody else has it.
    ///
    /// # Errors
    /// PostgreSQL fails or can't be reached.
    pub async fn take(pool: &PgPool, key: impl Into<FoldKey>) -> sqlx::Result<Option<Self>> {
        let mut lock = Self::on(pool.acquire().await?);
        let take = match key.into() {
            FoldKey::Users(generation) => {
                sqlx::query_scalar("SELECT pg_try_advisory_lock($1, $2)").bind(FOLD_LOCKS).bind(generation)
            }
            FoldKey::Projection(schema) => {
                sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(lock_of("fold", &schema))
            }
        };
        lock.may_be_held = take.fetch_one(&mut *lock.connection).await?;
        Ok(if lock.may_be_held { Some(lock) } else { None })
    }

    fn on(connection: PoolConnection<Postgres>) -> Self {
        Self { connection, may_be_held: true }
    }

    /// Releases it.
    ///
    /// # Errors
    /// PostgreSQL can't be reached any more.
    pub async fn release(mut self) -> sqlx::Result<()> {
        sqlx::query("SELECT pg_advisory_unlock_all()").execute(&mut *self.connection).await?;
        self.may_be_held = false;
        Ok(())
    }
}

impl Drop for FoldLock {
    fn drop(&mut self) {
        if self.may_be_held {
            self.connection.close_on_drop();
        }
    }
}
