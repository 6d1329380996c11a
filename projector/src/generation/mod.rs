//! Generations of the read model: building one, following, comparing, promoting, and dropping.

mod align;
mod build;
mod bulk;
mod candidate;
mod clean_up;
mod comparison;
mod follower;
mod following;
mod hold;
mod key_part;
mod list;
mod pace;
mod pass;
mod promote;
mod rebuild;
mod report;
mod resume;
mod set_aside;
mod source;
mod verify;

pub(crate) use candidate::unproved;
pub(crate) use comparison::Digests;
pub(crate) use following::start as start_following;
pub(crate) use list::in_use;
pub use list::{Generation, drop_unused, generations};
pub(crate) use pace::Pace;
pub use promote::promote;
pub(crate) use rebuild::NAMED_USERS;
pub use rebuild::rebuild;
pub use report::{
    LogChange, Phase, Progress, PromoteOptions, PromoteReport, RebuildOptions, RebuildReport, Which,
};
pub use set_aside::{Reason, SetAside};
pub(crate) use source::Source;
pub use verify::{ComparedTable, VerifyOptions, VerifyReport, verify};

pub use read_model::compare::Difference;
use read_model::generation::live;
