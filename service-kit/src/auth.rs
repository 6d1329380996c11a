//! Who is asking: bearer tokens, verified against a key set.
// STUB: helper S2 replaces this by auth/ (verify, jwks, local, principal).

use crate::{problem::Problem, settings::Settings};
use actix_web::HttpRequest;
use events_schema::TenantId;
use std::time::Duration;

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `users:read`
    Read,
    /// `users:write`
    Write,
}

/// Who is asking.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The tenant of the token.
    pub tenant: TenantId,
    /// The OAuth client (`client_id`, else `azp`), if the token names one and it is sane for a header.
    pub client_id: Option<String>,
    /// Whether the token has `users:read`.
    pub can_read: bool,
    /// Whether the token has `users:write`.
    pub can_write: bool,
}

/// Verifies tokens. One per process.
pub struct Authenticator {}

impl Authenticator {
    /// From the settings; a file is read and the local pair is made (if `Jwks::Local`) here, a URL is fetched when first needed.
    ///
    /// # Errors
    /// The key set's file can't be read.
    pub fn new(_settings: &Settings) -> anyhow::Result<Self> {
        unimplemented!()
    }

    /// The principal of a request; 401 with `WWW-Authenticate: Bearer…` otherwise (503 when the key set can't be had at all).
    ///
    /// # Errors
    /// The answer to give.
    pub async fn authenticate(&self, _request: &HttpRequest) -> Result<Principal, Problem> {
        unimplemented!()
    }
}

/// A token of the local key pair, signed EdDSA.
///
/// # Errors
/// The settings name another key set, or the local key can't be read.
pub fn local_token(_settings: &Settings, _tenant: &TenantId, _scope: &str, _ttl: Duration, _client_id: Option<&str>) -> anyhow::Result<String> {
    unimplemented!()
}
