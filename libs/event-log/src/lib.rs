//! Reads the log for everybody but the live consumer: records and their decoding, the ends of the
//! log, bounded replay, the identity of the log, and its cuts.

pub mod cuts;
mod halt;
pub mod identity;
pub mod identity_watch;
pub mod log_ends;
pub mod raw;
pub mod record;
pub mod record_owner;
pub mod replay;

pub use cuts::{Cut, cuts, describe_cuts};
pub use halt::{Halt, halted};
pub use identity::{check_log, check_partitions};
