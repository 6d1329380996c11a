//! Generations of the read model: building the next one, promoting it, and dropping old ones.

mod builder;
mod list;
mod promote;
mod rebuild;
mod set_aside;
mod source;

pub use list::{Generation, drop_unused, generations};
pub(crate) use read_model::generation::live;
pub use rebuild::{Phase, RebuildOptions, RebuildProgress, RebuildReport, rebuild};
pub use set_aside::{Reason, SetAside};
