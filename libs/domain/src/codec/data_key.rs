//! The data key of one owner, and the operations under it.

use super::secret::{NONCE_LEN, SealError, SealedBytes, Secret, fill};
use std::{fmt, sync::Arc};
use uuid::Uuid;
use zeroize::Zeroizing;

/// The length of the salt from which a message key is derived.
const SALT_LEN: usize = NONCE_LEN;
/// The HKDF labels. Each derived key serves one purpose.
const MESSAGE: &[u8] = b"rollcall/message/1";
const FINGERPRINT: &[u8] = b"rollcall/fingerprint/1";

/// Marks an owner's key as in use while a clone of it is alive.
pub type InUse = Arc<()>;

/// A data key with its id.
#[derive(Clone)]
pub struct DataKey {
    id: Uuid,
    secret: Secret,
    _in_use: Option<InUse>,
}

impl DataKey {
    /// A key with the given id and material.
    pub fn new(id: Uuid, secret: Secret) -> Self {
        Self { id, secret, _in_use: None }
    }

    /// The same key, marked as in use until it is dropped.
    #[must_use]
    pub fn in_use(self, in_use: Option<InUse>) -> Self {
        Self { _in_use: in_use, ..self }
    }

    /// A new key that is not stored anywhere, for tests.
    ///
    /// # Errors
    /// The system's random number generator failed.
    pub fn random() -> Result<Self, SealError> {
        Secret::random().map(|secret| Self::new(Uuid::new_v4(), secret))
    }

    /// The key's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The key material.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Seals a text together with associated data, under a key derived from this one and a random
    /// salt. So the same key is never used twice with the same nonce, however many messages are
    /// sealed.
    ///
    /// # Errors
    /// The system's random number generator failed, or the text is too long for AES-GCM.
    pub fn seal(&self, associated: &[u8], plaintext: &[u8]) -> Result<SealedBytes, SealError> {
        let mut salt = [0; SALT_LEN];
        fill(&mut salt)?;
        let sealed = self.secret.derived(&salt, MESSAGE)?.seal(associated, plaintext)?;
        Ok(SealedBytes { nonce: [salt.as_slice(), &sealed.nonce].concat(), ciphertext: sealed.ciphertext })
    }

    /// Opens a text that was sealed under this key with the same associated data. A nonce of 24
    /// bytes starts with the salt of the message key. A nonce of 12 bytes comes from an older
    /// release, which sealed messages under the data key itself.
    ///
    /// # Errors
    /// It was not sealed under this key with this associated data.
    pub fn open(
        &self,
        associated: &[u8],
        nonce: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        match nonce.split_at_checked(SALT_LEN) {
            Some((salt, nonce)) if !nonce.is_empty() => {
                self.secret.derived(salt, MESSAGE)?.open(associated, nonce, ciphertext)
            }
            _ => self.secret.open(associated, nonce, ciphertext),
        }
    }

    /// The HMAC of a text under this key. Only for a key that is used for nothing else.
    pub fn digest(&self, text: &[u8]) -> [u8; 32] {
        self.secret.digest(text)
    }

    /// The HMAC of a text under a derived key, for a key that also seals.
    ///
    /// # Errors
    /// The key can't be derived.
    pub fn fingerprint(&self, text: &[u8]) -> Result<[u8; 32], SealError> {
        Ok(self.secret.derived(&[], FINGERPRINT)?.digest(text))
    }

    /// Whether this is the fingerprint of a text. Older releases computed it under the data key
    /// itself.
    pub fn is_fingerprint_of(&self, text: &[u8], fingerprint: &[u8]) -> bool {
        self.fingerprint(text).is_ok_and(|own| own == *fingerprint) || self.digest(text) == *fingerprint
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({})", self.id)
    }
}

#[cfg(test)]
mod tests;
