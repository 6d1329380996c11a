//! The one owner of the read model: tables, migrations, statements, Redis keys and scripts, announcements.
//!
//! `write` is for the projector alone. `operate` is for the operator's verbs.

pub mod announcement;
pub mod generation;
pub mod migrate;
pub mod operate;
mod pool;
pub mod privacy;
pub mod projection_position;
mod read;
mod rejection;
pub mod write;
mod write_outcome;

pub use pool::pool;
pub use rejection::RejectionReason;
pub use write_outcome::WriteOutcome;
