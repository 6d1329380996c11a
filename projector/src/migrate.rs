//! Creates topics and tables that are missing.

pub use read_model::migrate::{Bound, Migrated, bind_anew, bound, check_key_store};
pub(crate) use read_model::migrate::{create_shared, deployment, try_out};

use crate::empty_key_store;
use event_log::{
    Halt, cuts,
    identity::{self, LogIdentity, Present},
    log_ends,
};
use key_store::Keys;
use read_model::{
    generation,
    locks::lock_schema,
    migrate::{self, Objects},
};
use service_kit::{
    database::{self, Role},
    kafka,
    settings::Settings,
};
use sqlx::PgPool;

/// Creates missing topics and tables, with generation 1 as the live one. Idempotent, and safe in
/// several processes at once.
///
/// # Errors
/// Kafka or PostgreSQL is unreachable, the role lacks a right, a topic has unsafe settings or
/// another number of partitions than were folded, or the key store is another deployment's, or
/// empty while users are sealed, or a newer release has made the live generation.
pub async fn migrate(settings: &Settings) -> anyhow::Result<Migrated> {
    migrate::check_rights(settings).await?;
    // Comes before the check of the topics, because its error says what was folded and how to
    // repair it.
    identity::check_partitions(settings).await?;
    let before = Objects::list(settings).await?;
    let topics = kafka::ensure_topics(settings).await?;
    let partitions = log_ends::partitions(settings).await?;
    let log = LogIdentity::new(settings)?.present().await?;
    let keys = Keys::open(settings)?;
    keys.renew_rights().await?;
    let pool = database::pool(settings.database_url()?, Role::Projector, 1)?;
    generation::check_live(&pool).await?;
    let migrated = async {
        empty_key_store::check(settings, &pool, &keys, partitions).await?;
        create(&pool, partitions, &log, &keys).await
    };
    let migrated = migrated.await;
    pool.close().await;
    migrated?;
    let cuts: Vec<_> = cuts::cuts(settings).await?.into_iter().filter(|cut| !cut.accepted).collect();
    if !cuts.is_empty() {
        tracing::warn!("{}. `rollcall projection accept-cut` shows more", cuts::describe_cuts(&cuts));
    }
    warn_of_another_log(settings).await?;
    Ok(Migrated { topics, tables: Objects::list(settings).await?.created_since(&before) })
}

/// Topics and tables may be complete and still not belong together.
async fn warn_of_another_log(settings: &Settings) -> anyhow::Result<()> {
    let Err(error) = identity::check_log(settings).await else { return Ok(()) };
    let halt = error.downcast::<Halt>()?;
    tracing::warn!("{halt}");
    Ok(())
}

async fn create(pool: &PgPool, partitions: u32, log: &Present, keys: &Keys) -> anyhow::Result<()> {
    create_read_model(pool, partitions, log).await?;
    migrate::check_not_emptied(pool, keys).await?;
    deployment::prove(pool, keys).await?;
    keys.migrate().await?;
    deployment::bind(pool, keys).await
}

async fn create_read_model(pool: &PgPool, partitions: u32, log: &Present) -> anyhow::Result<()> {
    let mut transaction = pool.begin().await?;
    lock_schema(&mut transaction).await?;
    migrate::create_shared(&mut transaction).await?;
    identity::register_first(&mut transaction, log).await?;
    // Comes before checkpoints are added, because their number may be the only record of the number
    // of partitions.
    identity::fill_counts(&mut transaction).await?;
    match generation::live(&mut transaction).await? {
        Some(live) => generation::renew_views(&mut transaction, live).await?,
        None => {
            let epoch = identity::register(&mut transaction, log).await?;
            let first = generation::create(&mut transaction, partitions, epoch).await?;
            generation::create_indexes(&mut transaction, first).await?;
            generation::postings::set_complete(&mut transaction, first).await?;
            generation::set_live(&mut transaction, first).await?;
        }
    }
    generation::add_checkpoints(&mut transaction, partitions).await?;
    identity::fill_counts(&mut transaction).await?;
    transaction.commit().await?;
    migrate::create_reader(pool).await;
    Ok(())
}
