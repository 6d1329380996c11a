//! Key material and the primitives under it: AES-256-GCM, HKDF-SHA-256 and HMAC-SHA-256.

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{AeadInOut as _, KeyInit as _},
};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// The length of a key in bytes.
pub const KEY_LEN: usize = 32;
/// The length of the cipher's nonce in bytes.
pub const NONCE_LEN: usize = 12;
/// The block length of SHA-256 in bytes.
const BLOCK_LEN: usize = 64;

/// Key material. It is overwritten when it is dropped and never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; KEY_LEN]>);

/// Sealing or opening failed. For opening: the bytes were not sealed under this key with this
/// associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("can't be sealed or opened under this key")]
pub struct SealError;

/// The result of sealing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBytes {
    /// Random for each message. A data key puts the salt of the message key before the cipher's
    /// nonce.
    pub nonce: Vec<u8>,
    /// The ciphertext, followed by the tag.
    pub ciphertext: Vec<u8>,
}

impl Secret {
    /// Generates a key.
    ///
    /// # Errors
    /// The system's random number generator failed.
    pub fn random() -> Result<Self, SealError> {
        let mut secret = Self(Zeroizing::new([0; KEY_LEN]));
        fill(secret.0.as_mut_slice())?;
        Ok(secret)
    }

    /// Restores a key from its bytes; `None` if the length is wrong.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// The bytes, to be stored under another key.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Seals a text under a fresh random nonce.
    ///
    /// By the birthday bound, a key may seal 2^32 messages before the chance of a repeated nonce
    /// exceeds 2^-32 (NIST SP 800-38D, 8.3). Use this only for keys that seal little: a master key
    /// or the key of one message.
    ///
    /// # Errors
    /// The system's random number generator failed, or the text is too long for AES-GCM.
    pub fn seal(&self, associated: &[u8], plaintext: &[u8]) -> Result<SealedBytes, SealError> {
        let mut nonce = [0; NONCE_LEN];
        fill(&mut nonce)?;
        let mut text = plaintext.to_vec();
        let sealed = self.cipher().encrypt_in_place(&Nonce::from(nonce), associated, &mut text);
        sealed.map(|()| SealedBytes { nonce: nonce.to_vec(), ciphertext: text }).map_err(|_| SealError)
    }

    /// Opens the result of [`Self::seal`] with the same associated data.
    ///
    /// # Errors
    /// The bytes were not sealed under this key with this associated data.
    pub fn open(
        &self,
        associated: &[u8],
        nonce: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| SealError)?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let opened = self.cipher().decrypt_in_place(&Nonce::from(nonce), associated, &mut *text);
        opened.map(|()| text).map_err(|_| SealError)
    }

    /// Derives a key for one purpose by HKDF-SHA-256.
    ///
    /// # Errors
    /// The library refused to derive the key.
    pub fn derived(&self, salt: &[u8], purpose: &[u8]) -> Result<Self, SealError> {
        let mut derived = Self(Zeroizing::new([0; KEY_LEN]));
        let key = Hkdf::<Sha256>::new(Some(salt), self.bytes());
        key.expand(purpose, derived.0.as_mut_slice()).map(|()| derived).map_err(|_| SealError)
    }

    /// The HMAC-SHA-256 of a text.
    pub fn digest(&self, text: &[u8]) -> [u8; 32] {
        self.keyed_hash().digest(text)
    }

    /// For the digests of many texts.
    pub fn keyed_hash(&self) -> KeyedHash {
        // HMAC pads a key to the block of its hash with zeros.
        let mut block = Zeroizing::new([0; BLOCK_LEN]);
        block[..KEY_LEN].copy_from_slice(self.bytes());
        KeyedHash(Hmac::new((&*block).into()))
    }

    /// Created for each message. The library overwrites its own copy, and creating one takes less
    /// than a microsecond.
    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.0).into())
    }
}

/// HMAC-SHA-256 under a secret. The secret's own part of the work, which is half of it for short
/// texts, is done once.
pub struct KeyedHash(Hmac<Sha256>);

impl KeyedHash {
    /// The digest of a text.
    pub fn digest(&self, text: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(text);
        mac.finalize().into_bytes().into()
    }
}

/// Fills a buffer with the system's random bytes.
pub(super) fn fill(bytes: &mut [u8]) -> Result<(), SealError> {
    getrandom::fill(bytes).map_err(|_| SealError)
}

impl From<[u8; KEY_LEN]> for Secret {
    fn from(bytes: [u8; KEY_LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}
