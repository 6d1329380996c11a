//! Dead letters: records that can't be folded. They wait for an operator, and later records of the same
//! user wait behind them.

pub(crate) mod list;
mod not_stored;
pub(crate) mod reprocess;
pub(crate) mod request;
