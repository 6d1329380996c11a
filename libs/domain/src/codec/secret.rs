//! Key material and the primitives under it: AES-256-GCM, HKDF-SHA-256 and HMAC-SHA-256.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
    hmac,
    rand::fill,
};
use std::fmt;
use zeroize::Zeroizing;

/// The length of a key in bytes.
pub const KEY_LEN: usize = 32;

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
        fill(secret.0.as_mut_slice()).map_err(|_| SealError)?;
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
        fill(&mut nonce).map_err(|_| SealError)?;
        let mut text = plaintext.to_vec();
        let sealed = self.cipher()?.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(associated),
            &mut text,
        );
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
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError)?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let opened = self.cipher()?.open_in_place(nonce, Aad::from(associated), &mut text);
        let length = opened.map(|plaintext| plaintext.len()).map_err(|_| SealError)?;
        text.truncate(length);
        Ok(text)
    }

    /// Derives a key for one purpose by HKDF-SHA-256.
    ///
    /// # Errors
    /// The library refused to derive the key.
    pub fn derived(&self, salt: &[u8], purpose: &[u8]) -> Result<Self, SealError> {
        let mut derived = Self(Zeroizing::new([0; KEY_LEN]));
        let key = Salt::new(HKDF_SHA256, salt).extract(self.bytes());
        let purpose = [purpose];
        let filled = key.expand(&purpose, HKDF_SHA256).and_then(|key| key.fill(derived.0.as_mut_slice()));
        filled.map(|()| derived).map_err(|_| SealError)
    }

    /// The HMAC-SHA-256 of a text.
    pub fn digest(&self, text: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.bytes()), text);
        let mut digest = [0; 32];
        digest.copy_from_slice(tag.as_ref());
        digest
    }

    /// Created for each message. The library overwrites its own copy, and creating one takes less
    /// than a microsecond.
    fn cipher(&self) -> Result<LessSafeKey, SealError> {
        UnboundKey::new(&AES_256_GCM, self.bytes()).map(LessSafeKey::new).map_err(|_| SealError)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}
