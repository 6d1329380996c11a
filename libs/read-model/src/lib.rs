//! Owns the read model: tables, migrations, statements, Redis keys and scripts, announcements.
//!
//! - [`read`]: the statements of the services, which only read;
//! - [`mod@write`]: for the projector alone;
//! - [`operate`]: for the operator's verbs;
//! - [`compare`]: compares two generations;
//! - [`cache`]: the names of the keys in Redis, and the form of their values;
//! - [`projection_position`]: how far the live generation is folded, and waiting for it;
//! - [`projections`]: generations of the projections beside the users;
//! - [`personal_tables`]: their tables with personal data;
//! - [`locks`]: the advisory locks for schema changes and rebuilds;
//! - [`announcement`]: what the projector sends by `NOTIFY`.

pub mod announcement;
pub mod cache;
pub mod compare;
pub mod generation;
pub mod locks;
pub mod migrate;
pub mod operate;
pub mod personal_tables;
mod pool;
pub mod projection_position;
pub mod projections;
pub mod read;
pub mod redis_connection;
mod rejection;
mod search_secret;
mod user_of_row;
pub mod write;
mod write_outcome;

pub use pool::pool;
pub use rejection::RejectionReason;
pub use search_secret::SearchSecret;
pub use write_outcome::WriteOutcome;
