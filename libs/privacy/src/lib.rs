//! What a data protection officer needs: proofs and audits of erasures, exports, and sweeps of the key
//! store.

pub mod erasure;
mod export;
mod progress;
mod sweep;
mod vacuum;

pub use export::{Analytic, Credential, CredentialFact, Current, Event, Export, KeyId, Letter, export};
pub use progress::{LookProgress, Step};
pub use sweep::{
    Destroyed, Group, ORPHAN_AFTER, Swept, Undecided, UndecidedKey, UndecidedReason, destroy_undecided,
    sweep, sweep_periodically, undecided,
};
pub use vacuum::Vacuum;
