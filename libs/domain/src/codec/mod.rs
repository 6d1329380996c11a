//! The one codec between events and their records in the log: sealing, opening and the digest of a
//! creation.

mod data_key;
mod digest;
mod open;
mod seal;
mod secret;

pub use data_key::{DataKey, InUse};
pub use digest::{canonical_text, is_creation_digest, plain_digest};
pub use open::{open, unseal};
pub use seal::seal;
pub use secret::{KEY_LEN, KeyedHash, NONCE_LEN, SealError, SealedBytes, Secret};

use events_schema::{TenantId, UserKey};
use std::{collections::HashMap, sync::Arc};
use uuid::Uuid;

/// The owner of a data key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The tenant.
    pub tenant: TenantId,
    /// The owner's id within the tenant.
    pub id: Uuid,
}

/// Data keys by their owners.
pub type KeyRing = HashMap<Owner, Arc<DataKey>>;

/// The owner of a user's data key.
pub fn owner(key: &UserKey) -> Owner {
    Owner { tenant: key.tenant.clone(), id: key.user }
}
