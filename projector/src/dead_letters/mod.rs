//! Dead letters: records that can't be folded. They wait for an operator, and later records of the
//! same user wait behind them.

mod letter_id;
mod list;
mod not_stored;
mod queued;
pub(crate) mod reprocess;
mod request;
mod selection;

pub use letter_id::{LetterId, UserFilter};
pub use list::{DeadLetter, WholeLetter, dead_letter, dead_letters};
pub use request::{Kind, Outcome, resolve_dead_letters};
pub use selection::Selection;
