//! The store of one generation, as the projector writes it.

use super::{commit_statement::Shape, erase, load, reprocess};
use crate::{SearchSecret, generation};
use anyhow::Context as _;
use key_store::Keys;
use service_kit::database::KeptConnections;
use sqlx::{AssertSqlSafe, PgPool};
use std::sync::Arc;

/// How a generation is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is live: positions are announced, and deletions erase.
    Live,
    /// It is not live: nobody reads it, and data that the live one has erased is left out.
    Following,
}

/// The statements on one generation. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// The database.
    pub pool: PgPool,
    /// The generation.
    pub generation: i32,
    /// The data keys of events.
    pub keys: Keys,
    pub(super) mode: Mode,
    pub(super) secret: SearchSecret,
    /// For the statements of each batch.
    pub(super) connections: Arc<KeptConnections>,
    pub(super) sql: Arc<Statements>,
}

/// A statement with the generation's schema filled in for `{g}`.
///
/// Lists of keys are joined by `column = ANY (ARRAY[key])` on the first column of the primary key,
/// see [`service_kit::database::by_key`]; dead letters likewise, by their owner. `topic <>
/// 'credentials'` stands for `topic = 'users'`, which would let the planner take another index.
pub(super) struct Text(String);

impl Text {
    fn new(template: &str, generation: i32) -> Self {
        Self(generation::text(template, generation))
    }

    /// The text, for `sqlx::query`. It is made from constants of ours and a number.
    pub(super) fn get(&self) -> AssertSqlSafe<&str> {
        AssertSqlSafe(self.0.as_str())
    }
}

pub(super) struct Statements {
    pub(super) load_users: Text,
    pub(super) load_queues: Text,
    pub(super) load_credentials: Text,
    pub(super) load_bodies: Text,
    pub(super) load_queue: Text,
    pub(super) commit_users_only: Text,
    pub(super) commit_full: Text,
    pub(super) resolve: Text,
    pub(super) update_reasons: Text,
    pub(super) restore: Text,
}

impl Store {
    /// The store of the live generation.
    ///
    /// # Errors
    /// PostgreSQL fails or can't be reached, or there is no live generation.
    pub async fn live(pool: PgPool, keys: Keys) -> anyhow::Result<Self> {
        let live = generation::live(&mut *pool.acquire().await?).await?;
        Self::open(pool, live.context("there is no live generation")?, Mode::Live, keys).await
    }

    /// The store of a generation.
    ///
    /// # Errors
    /// A newer release has made the generation
    /// ([`Unreadable`](generation::Unreadable)), or PostgreSQL fails or can't be reached.
    pub async fn open(pool: PgPool, generation: i32, mode: Mode, keys: Keys) -> anyhow::Result<Self> {
        let secret = SearchSecret::load(&pool).await?;
        let fold_version = generation::fold_version(&mut *pool.acquire().await?, generation).await?;
        generation::check_readable(generation, fold_version)?;
        let has_postings = generation::postings::are_complete(&pool, generation).await?;
        let text = |template: &str| Text::new(template, generation);
        let sql = Arc::new(Statements {
            load_users: text(load::LOAD_USERS),
            load_queues: text(load::LOAD_QUEUES),
            load_credentials: text(load::LOAD_CREDENTIALS),
            load_bodies: text(load::LOAD_BODIES),
            load_queue: text(reprocess::LOAD_QUEUE),
            commit_users_only: text(&Shape::UsersOnly.statement(has_postings)),
            commit_full: text(&Shape::Full.statement(has_postings)),
            resolve: text(reprocess::RESOLVE),
            update_reasons: text(reprocess::UPDATE_REASONS),
            restore: text(erase::RESTORE),
        });
        // Loading and committing take turns.
        let connections = Arc::new(KeptConnections::new(pool.clone(), 1));
        Ok(Self { pool, generation, keys, mode, secret, connections, sql })
    }
}
