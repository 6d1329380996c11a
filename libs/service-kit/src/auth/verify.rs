//! From token to principal: signature, times, issuer, audience, tenant.

use super::{
    keys::{Key, KeySet},
    principal::Principal,
    refusal::Refusal,
};
use crate::settings::JwtSettings;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};

/// Tolerated clock skew, in seconds.
const LEEWAY_SECS: u64 = 5;

/// A principal, and when the token expires.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) principal: Principal,
    /// `exp`, in seconds since the Unix epoch.
    pub(super) expires_at: u64,
}

/// What a token must contain.
pub(super) struct Verifier {
    validation: Validation,
    tenant_claim: String,
}

impl Verifier {
    pub(super) fn new(jwt: &JwtSettings) -> Self {
        let mut validation = Validation { leeway: LEEWAY_SECS, validate_nbf: true, ..Validation::default() };
        validation.set_issuer(&[&jwt.issuer]);
        validation.set_audience(&[&jwt.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        Self { validation, tenant_claim: jwt.tenant_claim.clone() }
    }

    pub(super) fn verify(&self, token: &str, keys: &KeySet) -> Result<Verified, Refusal> {
        let header = header(token)?;
        let claims = self.claims(token, &header, keys)?;
        // RFC 7519 allows a single string here, not a list.
        claims.get("iss").filter(|issuer| issuer.is_string()).ok_or(Refusal::Issuer)?;
        Ok(Verified {
            principal: Principal::of(&claims, &self.tenant_claim)?,
            expires_at: claims.get("exp").and_then(Value::as_f64).ok_or(Refusal::NoExpiry)? as u64,
        })
    }

    /// The claims, once a key of the set has verified the signature.
    fn claims(&self, token: &str, header: &Header, keys: &KeySet) -> Result<Map<String, Value>, Refusal> {
        let mut refusal = Refusal::UnknownKey;
        for key in keys.candidates(header.kid.as_deref()) {
            match self.claims_by(token, header, key) {
                // Without a `kid`, another key may have signed it, perhaps one that we don't have
                // yet.
                Err(Refusal::Signature | Refusal::Algorithm) if header.kid.is_none() => {}
                Err(other @ (Refusal::Signature | Refusal::Algorithm)) => refusal = other,
                decided => return decided,
            }
        }
        Err(refusal)
    }

    fn claims_by(&self, token: &str, header: &Header, key: &Key) -> Result<Map<String, Value>, Refusal> {
        if header.alg != key.algorithm {
            return Err(Refusal::Algorithm);
        }
        let validation = Validation { algorithms: vec![key.algorithm], ..self.validation.clone() };
        Ok(decode(token, &key.decoding, &validation)?.claims)
    }
}

/// The header, if it asks only for what we support.
fn header(token: &str) -> Result<Header, Refusal> {
    // The library rejects algorithms it does not know (such as `none`) like any unreadable header.
    let header = decode_header(token).map_err(|_| Refusal::Malformed)?;
    match header.alg {
        Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA if header.crit.is_none() => Ok(header),
        Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA => Err(Refusal::Malformed),
        _ => Err(Refusal::Algorithm),
    }
}
