//! `ROLLCALL_VAULT_*`: a master key that is in Vault.

use super::{SettingsError, parse, source::Source};
use std::path::PathBuf;

/// Where the master key is. No `Debug`: it holds a token.
#[derive(Clone)]
pub struct VaultSettings {
    /// `ROLLCALL_VAULT_ADDR`
    pub addr: String,
    /// `ROLLCALL_VAULT_TOKEN`, or what `ROLLCALL_VAULT_TOKEN_FILE` held at the start
    pub token: String,
    /// `ROLLCALL_VAULT_TOKEN_FILE`: read again when it changes
    pub token_file: Option<PathBuf>,
    /// `ROLLCALL_VAULT_MOUNT`: of the transit engine
    pub mount: String,
    /// `ROLLCALL_VAULT_KEY`
    pub key: String,
}

impl VaultSettings {
    /// `None`: no address is given.
    pub(super) fn read(source: &Source) -> Result<Option<Self>, SettingsError> {
        const TOKEN: &str = "ROLLCALL_VAULT_TOKEN";
        // All of them first: a bad one is refused whether it is needed or not.
        let addr = source.optional("ROLLCALL_VAULT_ADDR", "an http or https URL", parse::base_url)?;
        let token = source.given(TOKEN)?;
        let token_file = source.file_of(TOKEN).map(PathBuf::from);
        let mount = source.parsed("ROLLCALL_VAULT_MOUNT", "letters, digits, - _ . and /", parse::path)?;
        let key = source.parsed("ROLLCALL_VAULT_KEY", "letters, digits, - _ and .", |text| {
            parse::path(text).filter(|key| !key.contains('/'))
        })?;
        let Some(addr) = addr else { return Ok(None) };
        if source.given("ROLLCALL_MASTER_KEY_FILE")?.is_some() {
            return Err(SettingsError::new(
                "ROLLCALL_VAULT_ADDR",
                "give it or ROLLCALL_MASTER_KEY_FILE, not both",
            ));
        }
        let token =
            token.ok_or_else(|| SettingsError::new(TOKEN, "is not set, but ROLLCALL_VAULT_ADDR is"))?;
        Ok(Some(Self { addr, token, token_file, mount, key }))
    }
}
