//! Generations of the read model: building the next one, promoting it, and dropping old ones.

mod build;
mod builder;
mod list;
mod promote;
mod rebuild;
mod report;
mod set_aside;
mod source;

pub use list::{Generation, drop_unused, generations};
use read_model::generation::live;
pub use rebuild::rebuild;
pub use report::{Phase, RebuildOptions, RebuildProgress, RebuildReport};
pub use set_aside::{Reason, SetAside};
