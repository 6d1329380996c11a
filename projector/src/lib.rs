//! The projector folds the log into the read model. Nothing else writes the read model.

mod accept_cut;
pub mod analytics;
mod catch_up;
mod dead_letter_counts;
mod dead_letters;
mod empty_key_store;
mod erasures;
pub mod generation;
mod health;
mod health_note;
mod log_copy;
mod log_watch;
mod metrics;
mod migrate;
mod own_thread;
mod panics;
mod pause;
pub mod pipeline;
pub mod projections;
mod repair;
mod running;
mod status;
mod stop;
mod worker;

pub use accept_cut::{AcceptedCut, LostRange, accept_cut};
pub use dead_letter_counts::{WaitingLetters, WaitingReason, waiting_letters};
pub use dead_letters::{
    DeadLetter, Kind, LetterId, Outcome, Selection, UserFilter, WholeLetter, dead_letter, dead_letters,
    resolve_dead_letters,
};
pub use generation::{
    ComparedTable, Difference, Generation, LogChange, Phase, Progress, PromoteOptions, PromoteReport, Reason,
    RebuildOptions, RebuildReport, SetAside, VerifyOptions, VerifyReport, Which, drop_unused, generations,
    promote, rebuild, verify,
};
pub use log_copy::{CopiedTopic, CopyOptions, CopyPhase, CopyProgress, CopyReport, copy_log};
pub use migrate::{Bound, Migrated, bind_anew, bound, check_key_store, migrate};
pub use pause::{Pause, Paused, pause, paused, resume};
pub use repair::{Beginning, FoldedUser, Repair, RepairProgress, check_user, repair_user};
pub use running::{Running, start};
pub use status::{PartitionStatus, older_fold, rates, status};
