//! Writing the read model: ownership of partitions and the fence, one commit for each batch,
//! erasure, and the cache of bodies. For the projector alone.

mod cache;
mod commit;
mod commit_rows;
mod commit_statement;
mod copy;
mod copy_format;
mod effects;
mod erase;
pub mod erasures;
pub mod lease;
mod load;
pub mod ownership;
pub mod probe;
pub mod rejected;
mod repair;
mod reprocess;
pub mod sql_error;
mod store;

pub use cache::{Cache, InvalidationStatus, VersionsToInvalidate, versions_to_invalidate};
pub use effects::{
    CredentialKey, CredentialRow, DeadLetterRow, Effects, MAX_CREDENTIAL_LETTERS, PartitionOffset,
    RejectionRow, Span, TombstoneRow, UserRow,
};
pub(crate) use erase::deleted_among;
pub use load::{CacheEntry, StoredCredential, StoredUser, WaitingRecord};
pub use repair::{Comparison, RepairedUser};
pub use reprocess::{Remaining, Reprocessed, StoredRecord};
pub use store::{Mode, Store};
