//! A data key: 256 bits that belong to one owner, and what is done under them.

use super::cache::InUse;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
    hmac,
    rand::fill,
};
use std::fmt;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Bytes of a key.
pub(super) const KEY_LEN: usize = 32;
/// Bytes of the salt under which the key of one message is derived.
const SALT_LEN: usize = NONCE_LEN;
/// What keys are derived for: no derived key serves two purposes.
const FOR_A_MESSAGE: &[u8] = b"rollcall/message/1";
const FOR_FINGERPRINTS: &[u8] = b"rollcall/fingerprint/1";

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
    /// Random for each message: the salt of the message's key, and then the cipher's nonce.
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
    /// more than 2^-32 (NIST SP 800-38D, 8.3). So it is for keys that seal little: a master key, or the key of one message.
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

    /// A key for one purpose, by HKDF-SHA-256.
    fn derived(&self, salt: &[u8], purpose: &[u8]) -> Result<Self, SealError> {
        let mut derived = Self(Zeroizing::new([0; KEY_LEN]));
        let key = Salt::new(HKDF_SHA256, salt).extract(self.bytes());
        let purpose = [purpose];
        let filled = key.expand(&purpose, HKDF_SHA256).and_then(|key| key.fill(derived.0.as_mut_slice()));
        filled.map(|()| derived).map_err(|_| SealError)
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

    /// Seals a text, bound to associated data, under a key of this one message: derived from the data key and a random salt. So no number of
    /// messages brings the same key and nonce twice with a chance that counts.
    ///
    /// # Errors
    /// The system has no randomness, or the text is longer than AES-GCM allows.
    pub fn seal(&self, associated: &[u8], plaintext: &[u8]) -> Result<SealedBytes, SealError> {
        let mut salt = [0; SALT_LEN];
        fill(&mut salt).map_err(|_| SealError)?;
        let sealed = self.secret.derived(&salt, FOR_A_MESSAGE)?.seal(associated, plaintext)?;
        Ok(SealedBytes { nonce: [salt.as_slice(), &sealed.nonce].concat(), ciphertext: sealed.ciphertext })
    }

    /// Opens what was sealed under this key for the same associated data. A nonce of 24 bytes begins with the salt of the message's key; one
    /// of 12 is older, from when messages were sealed under the data key itself.
    ///
    /// # Errors
    /// It was not.
    pub fn open(
        &self,
        associated: &[u8],
        nonce: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        match nonce.split_at_checked(SALT_LEN) {
            Some((salt, nonce)) if !nonce.is_empty() => {
                self.secret.derived(salt, FOR_A_MESSAGE)?.open(associated, nonce, ciphertext)
            }
            _ => self.secret.open(associated, nonce, ciphertext),
        }
    }

    /// A digest of a text that says nothing to who has not got the key. For a key that does nothing else.
    pub fn digest(&self, text: &[u8]) -> [u8; 32] {
        self.secret.digest(text)
    }

    /// The same for a key that also seals: under a key of its own.
    ///
    /// # Errors
    /// That key can't be derived.
    pub fn fingerprint(&self, text: &[u8]) -> Result<[u8; 32], SealError> {
        Ok(self.secret.derived(&[], FOR_FINGERPRINTS)?.digest(text))
    }

    /// Whether it is the fingerprint of a text. An older one is under the data key itself.
    pub fn is_fingerprint_of(&self, text: &[u8], fingerprint: &[u8]) -> bool {
        self.fingerprint(text).is_ok_and(|own| own == *fingerprint) || self.digest(text) == *fingerprint
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
    fn what_was_sealed_under_the_key_itself_is_still_opened() {
        let key = DataKey::random().unwrap();
        let older = key.secret.seal(b"a", b"text").unwrap();
        assert_eq!(older.nonce.len(), NONCE_LEN);
        assert_eq!(key.open(b"a", &older.nonce, &older.ciphertext).unwrap().as_slice(), b"text");
        assert!(key.is_fingerprint_of(b"text", &key.digest(b"text")));
    }

    #[test]
    fn no_message_is_sealed_and_no_fingerprint_made_under_the_key_itself() {
        let key = DataKey::random().unwrap();
        let sealed = key.seal(b"a", b"text").unwrap();
        assert_eq!(sealed.nonce.len(), SALT_LEN + NONCE_LEN);
        let nonce = &sealed.nonce[SALT_LEN..];
        assert_eq!(key.secret.open(b"a", nonce, &sealed.ciphertext), Err(SealError));
        let print = key.fingerprint(b"text").unwrap();
        assert!(key.is_fingerprint_of(b"text", &print) && !key.is_fingerprint_of(b"other", &print));
        assert_ne!(print, key.digest(b"text"));
    }

    /// Computed by another library (Python's `cryptography`): what is in the log must be readable for ever.
    #[test]
    fn both_forms_are_what_they_always_were() {
        let bytes: Vec<u8> = (0..32).collect();
        let key = DataKey::new(Uuid::nil(), Secret::of_bytes(&bytes).unwrap());
        let opened = |nonce: usize, ciphertext: u128, last: u32| {
            let ciphertext = [ciphertext.to_be_bytes().as_slice(), &last.to_be_bytes()].concat();
            key.open(b"a", &bytes[..nonce], &ciphertext).unwrap().to_vec()
        };
        assert_eq!(opened(24, 0x6432_5bc7_4ebe_8c28_199c_0b98_5b67_1517, 0x60ba_cd17), b"text");
        assert_eq!(opened(12, 0x3367_ae6f_a2ea_e5dc_d521_c1fa_6bd6_dfb4, 0x46d9_5b85), b"text");
        let begins = |digest: [u8; 32]| u32::from_be_bytes(digest[..4].try_into().unwrap());
        assert_eq!(begins(key.fingerprint(b"text").unwrap()), 0x2165_45e2);
        assert_eq!(begins(key.digest(b"text")), 0x27a0_eaba);
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
