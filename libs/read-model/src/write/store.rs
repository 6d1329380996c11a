//! The store of one generation, as the projector writes it.

use super::{commit_rows::Shape, sql};
use crate::generation;
use key_store::Keys;
use service_kit::database::KeptConnections;
use sqlx::{AssertSqlSafe, PgPool};
use std::sync::Arc;

/// What a generation is to the one who writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is the live one: positions are announced, and deletions erase.
    Live,
    /// It is being built: nobody reads it, and what the live one erased is left out.
    Building,
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
    /// For the statements of each batch.
    pub(super) connections: Arc<KeptConnections>,
    pub(super) sql: Arc<Statements>,
}

/// A statement with the generation's schema filled in.
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
    pub(super) commit_users: Text,
    pub(super) commit_all: Text,
    pub(super) resolve: Text,
    pub(super) update_reasons: Text,
    pub(super) restore: Text,
}

impl Store {
    /// The store of a generation.
    #[must_use]
    pub fn new(pool: PgPool, generation: i32, mode: Mode, keys: Keys) -> Self {
        let text = |template: &str| Text::new(template, generation);
        let sql = Arc::new(Statements {
            load_users: text(sql::LOAD_USERS),
            load_queues: text(sql::LOAD_QUEUES),
            load_credentials: text(sql::LOAD_CREDENTIALS),
            load_bodies: text(sql::LOAD_BODIES),
            load_queue: text(sql::LOAD_QUEUE),
            commit_users: text(&Shape::Users.statement()),
            commit_all: text(&Shape::All.statement()),
            resolve: text(sql::RESOLVE),
            update_reasons: text(sql::UPDATE_REASONS),
            restore: text(sql::RESTORE),
        });
        // Loading and committing take turns.
        let connections = Arc::new(KeptConnections::new(pool.clone(), 1));
        Self { pool, generation, keys, mode, connections, sql }
    }
}
