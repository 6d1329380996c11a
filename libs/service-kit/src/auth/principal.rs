//! The caller's identity, as the claims of a verified token state it.

use super::refusal::Refusal;
use events_schema::TenantId;
use serde_json::{Map, Value};

/// A permission that a token can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `users:read`
    Read,
    /// `users:write`
    Write,
}

impl Scope {
    /// The scope as written in a token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "users:read",
            Self::Write => "users:write",
        }
    }
}

/// The authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The tenant that the token is for.
    pub tenant: TenantId,
    /// The OAuth client (`client_id`, else `azp`), if the token names one that fits in a header.
    pub client_id: Option<String>,
    /// Whether the token has `users:read`.
    pub can_read: bool,
    /// Whether the token has `users:write`.
    pub can_write: bool,
}

impl Principal {
    /// Whether the token has that scope.
    pub fn can(&self, scope: Scope) -> bool {
        match scope {
            Scope::Read => self.can_read,
            Scope::Write => self.can_write,
        }
    }

    pub(super) fn of(claims: &Map<String, Value>, tenant_claim: &str) -> Result<Self, Refusal> {
        let tenant = claims.get(tenant_claim).and_then(Value::as_str).ok_or(Refusal::Tenant)?;
        Ok(Self {
            tenant: tenant.parse().map_err(|_| Refusal::Tenant)?,
            client_id: client_id(claims),
            can_read: has_scope(claims, Scope::Read),
            can_write: has_scope(claims, Scope::Write),
        })
    }
}

/// The client id becomes a record header, so it must be short and printable ASCII.
fn client_id(claims: &Map<String, Value>) -> Option<String> {
    let given = claims.get("client_id").or_else(|| claims.get("azp"))?.as_str()?;
    let sane = (1..=128).contains(&given.len()) && given.bytes().all(|c| c.is_ascii_graphic());
    sane.then(|| given.to_owned())
}

/// Scopes are in `scope` (RFC 9068) or `scp`, separated by spaces or as an array.
fn has_scope(claims: &Map<String, Value>, scope: Scope) -> bool {
    ["scope", "scp"].iter().filter_map(|name| claims.get(*name)).any(|value| match value {
        Value::String(text) => text.split(' ').any(|word| word == scope.as_str()),
        Value::Array(words) => words.iter().any(|word| word.as_str() == Some(scope.as_str())),
        _ => false,
    })
}
