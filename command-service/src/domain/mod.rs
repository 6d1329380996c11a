//! What a command means: pure. State, ids and times come in, a decision goes out.

pub(crate) mod decide;
pub(crate) mod link;
pub(crate) mod precondition;
pub(crate) mod user;
