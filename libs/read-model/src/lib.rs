//! The one owner of the read model: tables, migrations, statements, Redis keys and scripts, announcements.

pub mod announcement;
pub mod operate;
pub mod projection_position;
mod read;
mod write_outcome;

pub use write_outcome::WriteOutcome;
