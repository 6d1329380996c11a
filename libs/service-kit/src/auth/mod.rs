//! Authentication: bearer tokens, verified against a key set.

mod bearer;
mod cache;
mod file;
mod keys;
mod local;
mod principal;
mod refusal;
mod remote;
mod source;
#[cfg(test)]
mod testing;
mod verify;

pub use local::local_token;
pub use principal::{Principal, Scope};

use crate::{
    problem::Problem,
    settings::{JwtSettings, Settings},
};
use actix_web::HttpRequest;
use cache::Cache;
use keys::KeySet;
use refusal::Refusal;
use source::Source;
use std::{path::Path, sync::Arc};
use verify::{Verified, Verifier};

/// Makes OpenSSL sign and verify the tokens of this process.
fn use_openssl() {
    // An error says that it does already.
    let _ = jsonwebtoken_openssl::install_default();
}

/// Verifies tokens. One per process.
pub struct Authenticator {
    source: Source,
    verifier: Verifier,
    cache: Cache,
}

impl Authenticator {
    /// Creates it from the settings. A key set file is read and the local pair created (with
    /// `Jwks::Local`) here; a URL is fetched when first needed.
    ///
    /// # Errors
    /// The key set's file can't be read.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        Self::of(&settings.jwt, &settings.home)
    }

    fn of(jwt: &JwtSettings, home: &Path) -> anyhow::Result<Self> {
        use_openssl();
        Ok(Self {
            source: Source::new(&jwt.jwks, home)?,
            verifier: Verifier::new(jwt),
            cache: Cache::default(),
        })
    }

    /// The principal of a request. Otherwise 401 with `WWW-Authenticate: Bearer…`, or 503 if no key
    /// set is available.
    ///
    /// # Errors
    /// The response to send.
    pub async fn authenticate(&self, request: &HttpRequest) -> Result<Principal, Problem> {
        let token = bearer::token(request.headers())?;
        let keys = self.source.keys().await?;
        match self.cache.get(token, keys.id()) {
            Some(principal) => Ok(principal),
            None => self.verify(token, keys).await,
        }
    }

    /// Verifies a token that is not in the cache. An unknown key may be a new one, so the key set
    /// is then refreshed.
    async fn verify(&self, token: &str, mut keys: Arc<KeySet>) -> Result<Principal, Problem> {
        let mut verified = self.verifier.verify(token, &keys);
        if verified == Err(Refusal::UnknownKey) {
            keys = self.source.newer_than(keys).await?;
            verified = self.verifier.verify(token, &keys);
        }
        let Verified { principal, expires_at } = verified?;
        self.cache.put(token, keys.id(), principal.clone(), expires_at);
        Ok(principal)
    }
}

#[cfg(test)]
mod tests;
