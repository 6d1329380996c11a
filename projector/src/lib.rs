//! Folds the log into the read model: the only one that writes it.

pub mod analytics;
mod ask;
pub mod batch;
mod body;
mod control;
pub mod effects;
pub mod erasure;
mod erasures;
mod export;
pub mod fence;
pub mod fold;
pub mod generation;
pub mod lease;
mod log;
mod log_identity;
mod metrics;
mod migrate;
mod named;
pub mod opening;
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

pub use control::{
    letters::{DeadLetter, LetterId, UserFilter, WholeLetter, dead_letter, dead_letters},
    pause::{Pause, pause, paused, resume},
    requests::{Kind, Outcome, What, ask},
};
pub use export::{Analytic, Credential, CredentialFact, Current, Event, Export, KeyId, Letter, export};
pub use generation::{Generation, Phase, RebuildProgress, RebuildReport, drop_retired, generations, rebuild};
pub use migrate::migrate;
pub use running::{Running, start};
pub use status::{PartitionStatus, status};
pub use sweep::{ORPHAN_AFTER, Swept, sweep};
