//! Writing the read model: the fence, one commit for each batch, erasure, and the cache of bodies.
//! For the projector alone.

mod cache;
mod commit;
mod commit_rows;
mod effects;
mod erase;
pub mod erasures;
pub mod fence;
pub mod lease;
mod load;
pub mod probe;
pub mod rejected;
mod reprocess;
mod sql;
pub mod sql_error;
mod store;

pub use cache::{Cache, Invalidations, invalidations};
pub use effects::{
    At, CredentialKey, CredentialRow, DeadLetterRow, Effects, MAX_CREDENTIAL_LETTERS, RejectionRow, Span,
    TombstoneRow, UserRow,
};
pub use erase::Invalidation;
pub use load::{CacheEntry, StoredCredential, StoredUser, WaitingRecord};
pub use reprocess::{Remaining, Reprocessed, StoredRecord};
pub use store::{Mode, Store};
