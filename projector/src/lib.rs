//! Folds the log into the read model: the only one that writes it.

pub mod analytics;
mod ask;
pub mod batch;
mod body;
pub mod effects;
pub mod fence;
pub mod fold;
pub mod generation;
pub mod lease;
mod log;
mod metrics;
mod migrate;
mod park;
mod projector;
pub mod record;
mod running;
mod state;
mod status;
pub mod store;

pub use generation::{Generation, Phase, RebuildProgress, RebuildReport, drop_retired, generations, rebuild};
pub use migrate::migrate;
pub use running::{Running, start};
pub use status::{PartitionStatus, status};
