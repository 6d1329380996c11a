//! Repairing one user: the user's records are folded again from the log, and what differs in the live
//! generation is replaced.
//!
//! The operator's program compares by itself (`check`). A repair it only requests (`request`): the
//! projector that owns the user's partition carries it out between two batches (`carry_out`, called by
//! `worker/repairs.rs`), because it alone may write the read model and knows the valid cache leases.

mod carry_out;
mod check;
mod log_reader;
mod report;
mod request;
mod user_fold;

pub(crate) use carry_out::Repairer;
pub use check::check_user;
pub(crate) use log_reader::LogReader;
pub use read_model::operate::repairs::{Beginning, FoldedUser, Repair, RepairProgress};
pub use request::repair_user;
pub(crate) use user_fold::UserFold;

use events_schema::Partition;
use std::collections::BTreeMap;

/// The first offset that is not folded, of each partition.
pub(crate) type Offsets = BTreeMap<Partition, i64>;
