//! Why a token is rejected: a closed list of fixed texts, so that no part of a token is ever
//! echoed.

use crate::problem::{Code, Problem};
use jsonwebtoken::errors::{Error, ErrorKind};

/// Why a request is not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No bearer token was sent.
    Missing,
    /// More than one `Authorization` header.
    Repeated,
    /// The token is longer than the limit.
    TooLong,
    /// Not a readable JWT.
    Malformed,
    /// `alg` is not supported or does not match the key.
    Algorithm,
    /// The key set has no key with this `kid`; or there is no `kid` and no key verifies the
    /// signature.
    UnknownKey,
    /// The signature does not match the key.
    Signature,
    /// `exp` is missing or not a number.
    NoExpiry,
    /// `exp` has passed.
    Expired,
    /// `nbf` is in the future or not a number.
    NotYet,
    /// `iss` is missing or names another issuer.
    Issuer,
    /// `aud` is missing or does not include ours.
    Audience,
    /// The tenant claim is missing or not a tenant id.
    Tenant,
}

impl Refusal {
    /// Tells the caller what to fix.
    fn message(self) -> &'static str {
        match self {
            Self::Missing => "Send a bearer token: Authorization: Bearer <token>",
            Self::Repeated => "Send exactly one Authorization header",
            Self::TooLong => "The token is too long: the limit is 8192 bytes",
            Self::Malformed => "The token is not a readable JWT",
            Self::Algorithm => {
                "The token's algorithm is not accepted: use RS256, ES256 or EdDSA, to match the key"
            }
            Self::UnknownKey => "The token is signed by a key that is not in the key set",
            Self::Signature => "The token's signature is wrong",
            Self::NoExpiry => "The token has no usable expiry (exp)",
            Self::Expired => "The token has expired: get a new one",
            Self::NotYet => "The token is not valid yet (nbf)",
            Self::Issuer => "The token is from another issuer (iss)",
            Self::Audience => "The token is for another audience (aud)",
            Self::Tenant => "The token's tenant claim is missing or is not a tenant id",
        }
    }

    /// RFC 6750: no error attribute if no token was sent.
    fn challenge(self) -> String {
        match self {
            Self::Missing => "Bearer".to_owned(),
            _ => format!(r#"Bearer error="invalid_token", error_description="{}""#, self.message()),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(Code::Unauthorized, refusal.message()).header("WWW-Authenticate", refusal.challenge())
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::MissingRequiredClaim(name) | ErrorKind::InvalidClaimFormat(name) => {
                match name.as_str() {
                    "exp" => Self::NoExpiry,
                    "nbf" => Self::NotYet,
                    "iss" => Self::Issuer,
                    "aud" => Self::Audience,
                    _ => Self::Malformed,
                }
            }
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::NotYet,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::InvalidAlgorithm => Self::Algorithm,
            ErrorKind::InvalidSignature => Self::Signature,
            _ => Self::Malformed,
        }
    }
}
