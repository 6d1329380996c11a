//! Master keys in the transit engine of HashiCorp Vault or OpenBao, through its HTTP API. They
//! never leave it, and every version of the key has its own number. A master key's id is
//! `vault:<mount>/<key>:v<version>`.
//!
//! The services renew the token (`auth/token/renew-self`, which Vault's default policy allows) and
//! reload it from its file. A service's token needs `update` on `encrypt/<key>` and
//! `decrypt/<key>`, and `read` on `keys/<key>`. Migrating and rotating also need `create` and
//! `update` on `keys/<key>` and the paths below it. Nobody should have `create` on `encrypt/<key>`:
//! with that right Vault silently replaces a lost key by a new one.

mod api;
mod token;

use super::{
    KeysError,
    wrapper::{Answer, PlainKey, Wrapped, WrappedKey, Wrapper},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::codec::Secret;
use futures_util::{FutureExt as _, future::BoxFuture};
use reqwest::{Client, Method, StatusCode, redirect::Policy};
use serde_json::{Value, json};
use service_kit::settings::VaultSettings;
use std::time::Duration;
use token::Token;
use zeroize::Zeroizing;

/// How long one response may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// A key of the transit engine.
pub(super) struct Vault {
    settings: VaultSettings,
    token: Token,
    client: Client,
}

impl Vault {
    pub(super) fn new(settings: &VaultSettings) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(REQUEST_TIMEOUT).redirect(Policy::none()).build()?;
        Ok(Self { token: Token::new(settings), settings: settings.clone(), client })
    }

    fn prefix(&self) -> String {
        let VaultSettings { mount, key, .. } = &self.settings;
        format!("vault:{mount}/{key}:v")
    }

    /// The id of the master key version in a ciphertext, which is `vault:v<version>:<base64>`.
    fn master(&self, ciphertext: &str) -> Option<String> {
        let version = ciphertext.strip_prefix("vault:v")?.split(':').next()?;
        Some(format!("{}{version}", self.prefix()))
    }

    /// The first and the last version that unwrap. `None` if the key does not exist.
    async fn versions(&self) -> Result<Option<(u64, u64)>, KeysError> {
        let response = self.send(Method::GET, &format!("keys/{}", self.settings.key), None).await?;
        if response.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let number = |name: &str| response.body["data"][name].as_u64();
        match (number("min_decryption_version"), number("latest_version")) {
            (Some(first), Some(last)) => Ok(Some((first, last))),
            _ => Err(KeysError::Unavailable("Vault's response is not about a transit key".to_owned())),
        }
    }

    async fn create_key(&self) -> Result<(), KeysError> {
        if self.versions().await?.is_some() {
            return Ok(());
        }
        let body = json!({ "type": "aes256-gcm96", "exportable": false });
        self.change(&format!("keys/{}", self.settings.key), body).await
    }

    async fn last_version(&self) -> Result<u64, KeysError> {
        Ok(self.versions().await?.ok_or_else(|| self.no_key())?.1)
    }

    async fn check_versions(&self, masters: Vec<String>) -> Result<(), KeysError> {
        let (first, last) = self.versions().await?.ok_or_else(|| self.no_key())?;
        let version = |master: &str| master.strip_prefix(&self.prefix())?.parse().ok();
        let is_there =
            |master: &String| version(master).is_some_and(|version: u64| (first..=last).contains(&version));
        match masters.iter().find(|master| !is_there(master)) {
            None => Ok(()),
            Some(missing) => Err(KeysError::NeedsOperator(format!(
                "ROLLCALL_VAULT_KEY: the key store is wrapped under {missing}, which is another key or a version that no longer unwraps: the setting may name another \
                 deployment's key. Nothing can be read without the right one"
            ))),
        }
    }

    async fn wrap_all(&self, keys: Vec<PlainKey>) -> Result<Vec<Wrapped>, KeysError> {
        let item = |key: &PlainKey| json!({ "plaintext": *Zeroizing::new(STANDARD.encode(key.secret.bytes())), "associated_data": STANDARD.encode(&key.aad) });
        let results = self.batch("encrypt", keys.iter().map(item).collect()).await?;
        let wrapped = |result: &Value| {
            let ciphertext = result["ciphertext"].as_str()?;
            Some(Wrapped { master: self.master(ciphertext)?, bytes: ciphertext.as_bytes().to_vec() })
        };
        let wrapped: Option<Vec<_>> = results.iter().map(wrapped).collect();
        wrapped.ok_or_else(|| KeysError::Unavailable("Vault did not wrap a key".to_owned()))
    }

    async fn unwrap_all(&self, keys: Vec<WrappedKey>) -> Result<Vec<Option<Secret>>, KeysError> {
        let item = |key: &WrappedKey| {
            let ciphertext = String::from_utf8_lossy(&key.wrapped.bytes).into_owned();
            json!({ "ciphertext": ciphertext, "associated_data": STANDARD.encode(&key.aad) })
        };
        let results = self.batch("decrypt", keys.iter().map(item).collect()).await?;
        let secret = |result: &Value| {
            let bytes = Zeroizing::new(STANDARD.decode(result["plaintext"].as_str()?).ok()?);
            Secret::of_bytes(&bytes)
        };
        Ok(results.iter().map(secret).collect())
    }

    async fn rotated(&self) -> Result<String, KeysError> {
        let path = format!("keys/{}/rotate", self.settings.key);
        self.change(&path, json!({})).await?;
        Ok(format!("{}{}", self.prefix(), self.last_version().await?))
    }

    /// Versions older than the current one no longer unwrap. Vault keeps them until someone trims
    /// the key.
    async fn retire_old(&self) -> Result<(), KeysError> {
        let (path, version) = (format!("keys/{}/config", self.settings.key), self.last_version().await?);
        let body = json!({ "min_decryption_version": version });
        self.change(&path, body).await
    }
}

impl Wrapper for Vault {
    fn setting(&self) -> &'static str {
        "ROLLCALL_VAULT_KEY"
    }

    fn check_local(&self) -> Result<(), KeysError> {
        Ok(())
    }

    fn maintain(&self) -> BoxFuture<'_, ()> {
        self.maintain_token().boxed()
    }

    fn create_first(&self) -> Answer<'_, ()> {
        self.create_key().boxed()
    }

    fn current(&self) -> Answer<'_, String> {
        async { Ok(format!("{}{}", self.prefix(), self.last_version().await?)) }.boxed()
    }

    fn check_has(&self, masters: Vec<String>) -> Answer<'_, ()> {
        self.check_versions(masters).boxed()
    }

    fn wrap(&self, keys: Vec<PlainKey>) -> Answer<'_, Vec<Wrapped>> {
        self.wrap_all(keys).boxed()
    }

    fn unwrap(&self, keys: Vec<WrappedKey>) -> Answer<'_, Vec<Option<Secret>>> {
        self.unwrap_all(keys).boxed()
    }

    fn rotate(&self) -> Answer<'_, String> {
        self.rotated().boxed()
    }

    fn retire(&self) -> Answer<'_, ()> {
        self.retire_old().boxed()
    }
}
