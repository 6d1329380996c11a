use super::{
    super::secret::{SealError, Secret},
    *,
};
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

/// Computed with another library (Python's `cryptography`): the log must remain readable forever.
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
