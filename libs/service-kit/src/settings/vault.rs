//! `ROLLCALL_VAULT_*`: a master key in Vault.

use super::{SettingsError, parse, source::Source};
use std::path::PathBuf;

/// Where the master key is. No `Debug`: it holds a token.
#[derive(Clone)]
pub struct VaultSettings {
    /// `ROLLCALL_VAULT_ADDR`
    pub addr: String,
    /// `ROLLCALL_VAULT_TOKEN`, or the content of `ROLLCALL_VAULT_TOKEN_FILE` at startup
    pub token: String,
    /// `ROLLCALL_VAULT_TOKEN_FILE`: reloaded when it changes
    pub token_file: Option<PathBuf>,
    /// `ROLLCALL_VAULT_MOUNT`: the mount path of the transit engine
    pub mount: String,
    /// `ROLLCALL_VAULT_KEY`
    pub key: String,
}

impl VaultSettings {
    /// `None`: no address is set.
    pub(super) fn read(source: &Source) -> Result<Option<Self>, SettingsError> {
        const TOKEN: &str = "ROLLCALL_VAULT_TOKEN";
        // Read all of them first: an invalid one is refused whether it is needed or not.
        let addr = source.optional("ROLLCALL_VAULT_ADDR", parse::BASE_URL)?;
        let token = source.given(TOKEN)?;
        let token_file = source.file_of(TOKEN).map(PathBuf::from);
        let mount = source.parsed("ROLLCALL_VAULT_MOUNT", parse::VAULT_MOUNT)?;
        let key = source.parsed("ROLLCALL_VAULT_KEY", parse::VAULT_KEY)?;
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
