//! The key of a record: the tenant and the user, and the partition that follows from them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A tenant's id: 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", inline)]
pub struct TenantId(Box<str>);

/// A text that is not a tenant id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a tenant id is 1 to 64 characters of A-Z a-z 0-9 . _ -")]
pub struct InvalidTenant;

impl TenantId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantId {
    type Err = InvalidTenant;

    fn from_str(text: &str) -> Result<Self, InvalidTenant> {
        let is_valid = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        match text.len() {
            1..=64 if text.bytes().all(is_valid) => Ok(Self(text.into())),
            _ => Err(InvalidTenant),
        }
    }
}

impl TryFrom<String> for TenantId {
    type Error = InvalidTenant;

    fn try_from(text: String) -> Result<Self, InvalidTenant> {
        text.parse()
    }
}

impl From<TenantId> for String {
    fn from(tenant: TenantId) -> Self {
        tenant.0.into()
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record's key, `<tenantId>/<userId>`. It keeps all events about a user in one partition, in
/// order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserKey {
    /// The tenant to which the user belongs.
    pub tenant: TenantId,
    /// The user's id.
    pub user: Uuid,
}

impl UserKey {
    /// The partition of this key among `partitions`, as Kafka's Java clients choose it by default
    /// (murmur2).
    pub fn partition(&self, partitions: u32) -> u32 {
        (murmur2(self.to_string().as_bytes()) & 0x7fff_ffff) % partitions
    }

    /// The user that a text names, however the id is spelled: ownership does not depend on letter
    /// case. Only the spelling that [`FromStr`] accepts is valid as the key of an event.
    #[must_use]
    pub fn named_by(text: &str) -> Option<Self> {
        let (tenant, user) = text.split_once('/')?;
        Self::of_parts(tenant, user)
    }

    /// Like [`Self::named_by`], for a tenant and a user in separate texts, as in headers.
    #[must_use]
    pub fn of_parts(tenant: &str, user: &str) -> Option<Self> {
        Some(Self { tenant: tenant.parse().ok()?, user: user.parse().ok()? })
    }
}

impl fmt::Display for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.user)
    }
}

impl FromStr for UserKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (tenant, user) = text.split_once('/').ok_or("the key is not <tenantId>/<userId>")?;
        let tenant = tenant.parse().map_err(|_| "the key's tenant is not a tenant id")?;
        let user: Uuid = user.parse().map_err(|_| "the key's user is not a uuid")?;
        let key = Self { tenant, user };
        // A key must have only one spelling, or one user's events would be spread over several
        // partitions.
        if key.to_string() == text {
            Ok(key)
        } else {
            Err("the key's uuid is not in its plain lower-case form")
        }
    }
}

/// MurmurHash2, 32 bit, with the seed of Kafka's Java clients.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mix = |k: u32| {
        let k = k.wrapping_mul(M);
        (k ^ (k >> 24)).wrapping_mul(M)
    };
    let mut h = 0x9747_b28c ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let k = chunk.iter().rev().fold(0, |k, byte| (k << 8) | u32::from(*byte));
        h = h.wrapping_mul(M) ^ mix(k);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        h ^= rest.iter().rev().fold(0, |k, byte| (k << 8) | u32::from(*byte));
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_is_that_of_the_java_clients() {
        // The vectors of Kafka's own UtilsTest.
        let java = |text: &str| murmur2(text.as_bytes()).cast_signed();
        assert_eq!(java("21"), -973_932_308);
        assert_eq!(java("foobar"), -790_332_482);
        assert_eq!(java("a-little-bit-long-string"), -985_981_536);
        assert_eq!(java("a-little-bit-longer-string"), -1_486_304_829);
        assert_eq!(java("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58_897_971);
        assert_eq!(java("abc"), 479_470_107);
    }

    #[test]
    fn a_key_has_one_spelling() {
        let key = "acme/0c3fad74-a8df-4a2d-8e75-f2d356b413ba";
        assert_eq!(key.parse::<UserKey>().unwrap().to_string(), key);
        for bad in [
            "",
            "acme",
            "acme/",
            "/0c3fad74-a8df-4a2d-8e75-f2d356b413ba",
            "acme/0C3FAD74-a8df-4a2d-8e75-f2d356b413ba",
        ] {
            assert!(bad.parse::<UserKey>().is_err(), "{bad}");
        }
        let named = UserKey::named_by("acme/0C3FAD74-A8DF-4a2d-8e75-f2d356b413ba").map(|key| key.to_string());
        assert_eq!(named.as_deref(), Some(key), "it names the user all the same");
    }

    #[test]
    fn tenant_ids_are_plain() {
        assert!("a.B_9-".parse::<TenantId>().is_ok());
        for bad in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad}");
        }
    }
}
