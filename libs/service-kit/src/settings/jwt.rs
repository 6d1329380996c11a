//! Which tokens are trusted.

use super::{SettingsError, parse, source::Source};
use std::path::PathBuf;

/// Which tokens are trusted.
#[derive(Clone)]
pub struct JwtSettings {
    /// `ROLLCALL_JWKS_URL` or `ROLLCALL_JWKS_FILE`
    pub jwks: Jwks,
    /// `ROLLCALL_JWT_ISSUER`
    pub issuer: String,
    /// `ROLLCALL_JWT_AUDIENCE`
    pub audience: String,
    /// `ROLLCALL_TENANT_CLAIM`
    pub tenant_claim: String,
}

/// Where the key set comes from.
#[derive(Clone)]
pub enum Jwks {
    /// Fetched from this URL.
    Url(String),
    /// Read from this file.
    File(PathBuf),
    /// The local key pair under `$ROLLCALL_HOME` (`jwt.key`, PKCS#8 PEM, mode 0600; `jwks.json`).
    Local,
}

impl JwtSettings {
    pub(super) fn read(source: &Source) -> Result<Self, SettingsError> {
        let text = |name| source.parsed(name, parse::TEXT);
        Ok(Self {
            jwks: Jwks::read(source)?,
            issuer: text("ROLLCALL_JWT_ISSUER")?,
            audience: text("ROLLCALL_JWT_AUDIENCE")?,
            tenant_claim: text("ROLLCALL_TENANT_CLAIM")?,
        })
    }
}

impl Jwks {
    fn read(source: &Source) -> Result<Self, SettingsError> {
        let url = source.optional("ROLLCALL_JWKS_URL", parse::HTTP_URL)?;
        let file = source.optional("ROLLCALL_JWKS_FILE", parse::PATH)?;
        match (url, file) {
            (Some(_), Some(_)) => {
                Err(SettingsError::new("ROLLCALL_JWKS_URL", "give it or ROLLCALL_JWKS_FILE, not both"))
            }
            (Some(url), None) => Ok(Self::Url(url)),
            (None, Some(file)) => Ok(Self::File(file.into())),
            (None, None) => Ok(Self::Local),
        }
    }
}
