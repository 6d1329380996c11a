//! What a data protection officer needs: proofs and audits of erasures, exports, and sweeps of the key
//! store.

mod connection;
pub mod erasure;
mod export;
mod progress;
mod sweep;
mod vacuum;

pub use export::{
    AnalyticEvent, Credential, CredentialFact, CurrentUser, DeadLetter, Event, Export, KeyId, ProjectionRow,
    export,
};
pub use progress::{ScanProgress, Step};
pub use sweep::{
    Destroyed, Group, ORPHAN_AFTER, Swept, Undecided, UndecidedKey, UndecidedReason, destroy_undecided,
    sweep, sweep_periodically, undecided,
};
pub use vacuum::Vacuum;
