//! A key set (RFC 7517): the public keys that verify tokens, found by their id.

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};

/// A key and the only algorithm that it is accepted for.
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// The usable keys of a key set.
pub(super) struct KeySet {
    id: u64,
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// Parses a JWKS document. Keys of unsupported types or uses are skipped.
    pub(super) fn parse(document: &[u8]) -> Result<Self, serde_json::Error> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let Document { keys } = serde_json::from_slice(document)?;
        let keys = keys.into_iter().filter_map(|key| Key::of(&serde_json::from_value(key).ok()?)).collect();
        Ok(Self { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), keys })
    }

    /// Identifies this key set within the process.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The keys that match a token's `kid`, or all keys if it has none.
    pub(super) fn candidates<'a>(&'a self, kid: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        self.keys.iter().filter(move |key| kid.is_none() || key.id.as_deref() == kid)
    }
}

impl Key {
    fn of(jwk: &Jwk) -> Option<Self> {
        let algorithm = algorithm(&jwk.algorithm)?;
        let common = &jwk.common;
        let is_for_signatures = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
        let may_verify = common
            .key_operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        let fits = common.key_algorithm.is_none_or(|named| named == algorithm.into());
        let decoding = DecodingKey::from_jwk(jwk).ok()?;
        (is_for_signatures && may_verify && fits).then(|| Self {
            id: common.key_id.clone(),
            algorithm,
            decoding,
        })
    }
}

/// The key's type alone determines the algorithm, whatever a token's header says.
fn algorithm(parameters: &AlgorithmParameters) -> Option<Algorithm> {
    match parameters {
        AlgorithmParameters::RSA(_) => Some(Algorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Some(Algorithm::ES256),
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Some(Algorithm::EdDSA)
        }
        _ => None,
    }
}
