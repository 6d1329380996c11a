//! Schema and topics, made where they are missing.

pub(crate) mod deployment;
mod key_store_check;
mod report;
mod rights;

pub use deployment::{Bound, bind_anew, bound};
pub use key_store_check::check_key_store;
pub(crate) use key_store_check::try_out;
pub use report::Migrated;

use crate::generation;
use event_log::{
    cuts,
    identity::{self, LogIdentity, Present},
    log_ends,
};
use events_schema::Topic;
use key_store::Keys;
use report::Objects;
use service_kit::{
    database::{self, Role},
    kafka,
    settings::Settings,
};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, raw_sql};

/// Key of the advisory lock under which schemas change: one migration, rebuild step or promotion at a time.
pub(crate) const SCHEMA_LOCK: i64 = 0x726f_6c6c_6361_6c6c;

const ROLLCALL: &str = include_str!("rollcall.sql");
const CONTROL: &str = include_str!("control.sql");
const READER: &str = include_str!("reader.sql");
const GENERATION: &str = include_str!("generation.sql");
const INDEXES: &str = include_str!("indexes.sql");
const VIEWS: &str = include_str!("views.sql");

/// Makes the topics and the read model's schema as far as they are missing, with generation 1 as the live one. Idempotent, and safe in
/// several processes at once.
///
/// # Errors
/// Kafka or Postgres can't be reached, the role lacks a right, a topic breaks a promise or has other partitions than it was folded with, or
/// the key store is another deployment's, or empty beside sealed users.
pub async fn migrate(settings: &Settings) -> anyhow::Result<Migrated> {
    rights::check(settings).await?;
    // First, since it can say more than the topics alone: what was folded, and the way back.
    identity::check_partitions(settings).await?;
    let before = Objects::look(settings).await?;
    let topics = kafka::ensure_topics(settings).await?;
    let partitions = log_ends::partitions(settings).await?;
    let log = LogIdentity::new(settings)?.present().await?;
    let pool = database::pool(settings.database_url()?, Role::Projector, 1)?;
    let migrated = all(&pool, partitions, &log, &Keys::open(settings)?).await;
    pool.close().await;
    migrated?;
    let cuts: Vec<_> = cuts::cuts(settings).await?.into_iter().filter(|cut| !cut.accepted).collect();
    if !cuts.is_empty() {
        tracing::warn!("{}. `rollcall projection accept-cut` shows more", cuts::cuts_in_words(&cuts));
    }
    Ok(Migrated { topics, tables: Objects::look(settings).await?.made_since(&before) })
}

async fn all(pool: &PgPool, partitions: u32, log: &Present, keys: &Keys) -> anyhow::Result<()> {
    schema(pool, partitions, log).await?;
    key_store_check::check(pool, keys).await?;
    deployment::prove(pool, keys).await?;
    keys.migrate().await?;
    deployment::bind(pool, keys).await
}

async fn schema(pool: &PgPool, partitions: u32, log: &Present) -> anyhow::Result<()> {
    let mut transaction = pool.begin().await?;
    lock(&mut transaction).await?;
    outliving(&mut transaction).await?;
    identity::register_first(&mut transaction, log).await?;
    // Before checkpoints are added, which may be all that says it.
    identity::fill_counts(&mut transaction).await?;
    match generation::live(&mut transaction).await? {
        Some(live) => renew_views(&mut transaction, live).await?,
        None => {
            let epoch = identity::register(&mut transaction, log).await?;
            let first = generation::create(&mut transaction, partitions, epoch).await?;
            create_indexes(&mut transaction, first).await?;
            generation::set_live(&mut transaction, first).await?;
        }
    }
    generation::add_checkpoints(&mut transaction, partitions).await?;
    identity::fill_counts(&mut transaction).await?;
    transaction.commit().await?;
    make_reader(pool).await;
    Ok(())
}

/// What outlives a generation. To be called under the schema lock.
pub(crate) async fn outliving(connection: &mut PgConnection) -> sqlx::Result<()> {
    raw_sql(ROLLCALL).execute(&mut *connection).await?;
    raw_sql(CONTROL).execute(connection).await.map(drop)
}

/// Waits for the schema lock; it is held until the transaction ends.
pub(crate) async fn lock(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(SCHEMA_LOCK).execute(connection).await.map(drop)
}

/// The reader's role is a second wall, not the first: where it can't be made, readers have a read-only session all the same.
async fn make_reader(pool: &PgPool) {
    let made = async {
        let mut transaction = pool.begin().await?;
        lock(&mut transaction).await?;
        raw_sql(READER).execute(&mut *transaction).await?;
        transaction.commit().await
    };
    if let Err(error) = made.await {
        tracing::warn!(
            error = service_kit::chain::told(&error),
            "the role rollcall_reader was not made; readers keep the rights of their own user"
        );
    }
}

/// The tables of a generation.
pub(crate) async fn create_tables(connection: &mut PgConnection, generation: i32) -> sqlx::Result<()> {
    run(connection, GENERATION, generation).await
}

/// The indexes of a generation.
pub(crate) async fn create_indexes(connection: &mut PgConnection, generation: i32) -> sqlx::Result<()> {
    run(connection, INDEXES, generation).await
}

/// Points the views at a generation.
pub(crate) async fn set_views(connection: &mut PgConnection, generation: i32) -> sqlx::Result<()> {
    run(connection, VIEWS, generation).await
}

/// Renews the views that were made before one of their columns was thought of.
async fn renew_views(connection: &mut PgConnection, live: i32) -> sqlx::Result<()> {
    let is_old = sqlx::query_scalar(
        "SELECT NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'live.checkpoints'::regclass AND attname = 'log_epoch')",
    );
    if is_old.fetch_one(&mut *connection).await? { set_views(connection, live).await } else { Ok(()) }
}

async fn run(connection: &mut PgConnection, template: &str, generation: i32) -> sqlx::Result<()> {
    // Only a number of ours goes into the text.
    let sql =
        template.replace("{g}", &generation::schema(generation)).replace("{n}", &generation.to_string());
    raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

/// The checkpoints' topics as the read model names them.
pub(crate) fn topics() -> Vec<&'static str> {
    Topic::ALL.map(Topic::as_str).to_vec()
}
