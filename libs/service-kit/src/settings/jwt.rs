//! Whose tokens are believed.

use super::{SettingsError, parse, source::Source};
use std::path::PathBuf;

/// Whose tokens are believed.
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

/// Where the key set is.
#[derive(Clone)]
pub enum Jwks {
    /// Fetched.
    Url(String),
    /// Read.
    File(PathBuf),
    /// The local key pair under `$ROLLCALL_HOME` (`jwt.key`, PKCS#8 PEM, mode 0600; `jwks.json`).
    Local,
}

impl JwtSettings {
    pub(super) fn read(source: &Source) -> Result<Self, SettingsError> {
        let text = |name| source.parsed(name, "some text", parse::word);
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
        let url = source.optional("ROLLCALL_JWKS_URL", "an http or https URL", parse::http_url)?;
        let file = source.optional("ROLLCALL_JWKS_FILE", "a path", parse::word)?;
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
