//! A data key: 256 bits that belong to one owner, and what is done under them.

use super::cache::InUse;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
    rand::fill,
};
use std::fmt;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Bytes of a key.
pub(super) const KEY_LEN: usize = 32;

/// Key material. Overwritten when it is dropped; never printed.
#[derive(Clone)]
pub(super) struct Secret(Zeroizing<[u8; KEY_LEN]>);

/// It can't be done: for an opening, the bytes are not what was sealed under this key for that purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("can't be sealed or opened under this key")]
pub struct SealError;

/// What sealing gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBytes {
    /// Random for each message.
    pub nonce: Vec<u8>,
    /// The ciphertext and then the tag.
    pub ciphertext: Vec<u8>,
}

impl Secret {
    /// A new one, of the system's randomness.
    pub(super) fn random() -> Result<Self, SealError> {
        let mut secret = Self(Zeroizing::new([0; KEY_LEN]));
        fill(secret.0.as_mut_slice()).map_err(|_| SealError)?;
        Ok(secret)
    }

    /// One that was kept.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// To be kept, wrapped.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Seals under a fresh random nonce. By the birthday bound a key may seal 2^32 messages before two nonces are the same with a chance of
    /// more than 2^-32 (NIST SP 800-38D, 8.3).
    pub(super) fn seal(&self, associated: &[u8], plaintext: &[u8]) -> Result<SealedBytes, SealError> {
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

    /// Opens what [`Self::seal`] gave for the same associated data.
    pub(super) fn open(
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

    /// HMAC-SHA-256: says something of a text only to who has the key.
    pub(super) fn digest(&self, text: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.bytes()), text);
        let mut digest = [0; 32];
        digest.copy_from_slice(tag.as_ref());
        digest
    }

    /// Made for each message: the library overwrites its own copy, and to make one costs less than a microsecond.
    fn cipher(&self) -> Result<LessSafeKey, SealError> {
        UnboundKey::new(&AES_256_GCM, self.bytes()).map(LessSafeKey::new).map_err(|_| SealError)
    }
}

/// A data key under its id.
#[derive(Clone)]
pub struct DataKey {
    id: Uuid,
    secret: Secret,
    /// As long as it is there, its owner's key is in use.
    _in_use: Option<InUse>,
}

impl DataKey {
    pub(super) fn new(id: Uuid, secret: Secret) -> Self {
        Self { id, secret, _in_use: None }
    }

    /// The same, noted as in use until it is dropped.
    pub(super) fn in_use(self, in_use: Option<InUse>) -> Self {
        Self { _in_use: in_use, ..self }
    }

    /// A key that nobody keeps, for tests of what is done under one.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn random() -> Result<Self, SealError> {
        Secret::random().map(|secret| Self::new(Uuid::new_v4(), secret))
    }

    /// By which it is found again.
    pub fn id(&self) -> Uuid {
        self.id
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Seals a text, bound to associated data.
    ///
    /// # Errors
    /// The system has no randomness, or the text is longer than AES-GCM allows.
    pub fn seal(&self, associated: &[u8], plaintext: &[u8]) -> Result<SealedBytes, SealError> {
        self.secret.seal(associated, plaintext)
    }

    /// Opens what was sealed under this key for the same associated data.
    ///
    /// # Errors
    /// It was not.
    pub fn open(
        &self,
        associated: &[u8],
        nonce: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.secret.open(associated, nonce, ciphertext)
    }

    /// A digest of a text that says nothing to who has not got the key.
    pub fn digest(&self, text: &[u8]) -> [u8; 32] {
        self.secret.digest(text)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({})", self.id)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(text in prop::collection::vec(any::<u8>(), 0..600), bound in ".{0,80}") {
            let key = DataKey::random().unwrap();
            let sealed = key.seal(bound.as_bytes(), &text).unwrap();
            prop_assert_eq!(key.open(bound.as_bytes(), &sealed.nonce, &sealed.ciphertext).unwrap().to_vec(), text);
        }

        #[test]
        fn any_changed_bit_closes_it(
            text in prop::collection::vec(any::<u8>(), 0..80),
            bound in prop::collection::vec(any::<u8>(), 1..40),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u32,
        ) {
            let key = DataKey::random().unwrap();
            let sealed = key.seal(&bound, &text).unwrap();
            let flipped = |bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
                bytes
            };
            prop_assert_eq!(key.open(&flipped(&bound), &sealed.nonce, &sealed.ciphertext), Err(SealError));
            prop_assert_eq!(key.open(&bound, &flipped(&sealed.nonce), &sealed.ciphertext), Err(SealError));
            prop_assert_eq!(key.open(&bound, &sealed.nonce, &flipped(&sealed.ciphertext)), Err(SealError));
            prop_assert_eq!(DataKey::random().unwrap().open(&bound, &sealed.nonce, &sealed.ciphertext), Err(SealError));
        }
    }

    #[test]
    fn two_seals_of_one_text_have_nothing_in_common() {
        let key = DataKey::random().unwrap();
        let (one, other) = (key.seal(b"a", b"text").unwrap(), key.seal(b"a", b"text").unwrap());
        assert!(one.nonce != other.nonce && one.ciphertext != other.ciphertext);
    }

    #[test]
    fn too_short_to_hold_a_tag_is_refused() {
        let key = DataKey::random().unwrap();
        assert_eq!(key.open(b"", &[0; 12], &[0; 3]), Err(SealError));
        assert_eq!(key.open(b"", &[0; 3], &[0; 30]), Err(SealError));
    }

    #[test]
    fn nothing_of_a_key_is_printed() {
        let key = DataKey::random().unwrap();
        assert_eq!(format!("{key:?} {:?}", key.secret()), format!("DataKey({}) Secret(redacted)", key.id()));
    }
}
