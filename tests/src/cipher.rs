//! AES-256-GCM and HKDF-SHA-256 by OpenSSL, which the service does not use for its events.

use openssl::{
    md::Md,
    pkey::Id,
    pkey_ctx::PkeyCtx,
    symm::{Cipher, decrypt_aead, encrypt_aead},
};

/// The length of the nonce in bytes.
pub(crate) const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

/// The ciphertext with its tag behind it.
pub(crate) fn seal(key: &[u8], nonce: &[u8], associated: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let mut tag = [0; TAG_LEN];
    let text = encrypt_aead(Cipher::aes_256_gcm(), key, Some(nonce), associated, text, &mut tag).ok()?;
    Some([text.as_slice(), &tag].concat())
}

/// `None` unless it was sealed under this key with this nonce and associated data.
pub(crate) fn open(key: &[u8], nonce: &[u8], associated: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let (text, tag) = ciphertext.split_at_checked(ciphertext.len().checked_sub(TAG_LEN)?)?;
    let is_nonce = nonce.len() == NONCE_LEN;
    is_nonce.then(|| decrypt_aead(Cipher::aes_256_gcm(), key, Some(nonce), associated, text, tag).ok())?
}

/// A key derived from another one for a purpose.
pub(crate) fn derive(key: &[u8], salt: &[u8], purpose: &[u8]) -> Option<[u8; 32]> {
    let mut derived = [0; 32];
    let mut context = PkeyCtx::new_id(Id::HKDF).ok()?;
    context.derive_init().ok()?;
    context.set_hkdf_md(Md::sha256()).ok()?;
    context.set_hkdf_key(key).ok()?;
    context.set_hkdf_salt(salt).ok()?;
    context.add_hkdf_info(purpose).ok()?;
    context.derive(Some(&mut derived)).ok()?;
    Some(derived)
}
