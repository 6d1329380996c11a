//! Folds the log into the read model: the only one that writes it.

pub mod analytics;
mod ask;
pub mod batch;
mod body;
mod control;
mod cut;
pub mod effects;
pub mod erasure;
mod erasures;
mod export;
pub mod fence;
pub mod generation;
mod instance;
pub mod lease;
mod log;
mod log_copy;
mod log_identity;
mod log_watch;
mod metrics;
mod migrate;
mod named;
mod open;
mod park;
mod projector;
pub mod queue;
pub mod record;
mod running;
mod state;
mod status;
pub mod store;
mod sweep;
mod vacuum;
mod waiting_letters;

pub use control::{
    letters::{DeadLetter, LetterId, UserFilter, WholeLetter, dead_letter, dead_letters},
    pause::{Pause, Paused, pause, paused, resume},
    requests::{Kind, Outcome, What, ask},
};
pub use cut::{AcceptedCut, Cut, LostRange, accept_cut, cuts, cuts_in_words};
pub use export::{Analytic, Credential, CredentialFact, Current, Event, Export, KeyId, Letter, export};
pub use generation::{
    Generation, Phase, Reason, RebuildOptions, RebuildProgress, RebuildReport, SetAside, drop_unused,
    generations, rebuild,
};
pub use log_copy::{CopiedTopic, CopyOptions, CopyPhase, CopyProgress, CopyReport, copy_log};
pub use log_identity::{check_log, check_partitions};
pub use migrate::{Bound, Migrated, bind_anew, bound, check_key_store, migrate};
pub use running::{Running, start};
pub use state::halted;
pub use status::{PartitionStatus, status};
pub use sweep::{
    Group, ORPHAN_AFTER, Swept, Undecided, UndecidedKey, UndecidedReason, destroy_undecided, sweep, undecided,
};
pub use waiting_letters::{WaitingLetters, WaitingReason, waiting_letters};
