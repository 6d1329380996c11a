//! Master keys in HashiCorp Vault's transit engine, or OpenBao's, by its HTTP API: they never leave it, and every version of the key has its
//! own number. A master key's id is `vault:<mount>/<key>:v<version>`.

use super::{
    KeysError,
    data_key::Secret,
    wrapper::{Answer, Bare, Bound, Wrapped, Wrapper},
};
use crate::settings::VaultSettings;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::FutureExt as _;
use reqwest::{Client, Method, StatusCode, redirect::Policy};
use serde_json::{Value, json};
use std::time::Duration;
use zeroize::Zeroizing;

/// For one answer.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Keys in one request, at most.
const BATCH: usize = 250;

/// A key of the transit engine.
pub(super) struct Vault {
    settings: VaultSettings,
    client: Client,
}

/// Several answers of one request.
type Results = Vec<Value>;

impl Vault {
    pub(super) fn new(settings: &VaultSettings) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(TIMEOUT).redirect(Policy::none()).build()?;
        Ok(Self { settings: settings.clone(), client })
    }

    fn prefix(&self) -> String {
        let VaultSettings { mount, key, .. } = &self.settings;
        format!("vault:{mount}/{key}:v")
    }

    /// The id of the version in a ciphertext, which is `vault:v<version>:<base64>`.
    fn master(&self, ciphertext: &str) -> Option<String> {
        let version = ciphertext.strip_prefix("vault:v")?.split(':').next()?;
        Some(format!("{}{version}", self.prefix()))
    }

    /// Asks; a refusal is worded without what was sent. `None`: there is no such key.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Option<Value>, KeysError> {
        let VaultSettings { addr, token, mount, .. } = &self.settings;
        let request =
            self.client.request(method, format!("{addr}/v1/{mount}/{path}")).header("X-Vault-Token", token);
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await.map_err(|error| away(&error.without_url()))?;
        match answer.status() {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
                return Err(KeysError::Refused(format!(
                    "ROLLCALL_VAULT_TOKEN: Vault does not let it use the key {mount}/{}",
                    self.settings.key
                )));
            }
            // In a batch the items that failed say so themselves.
            status if status.is_success() || (status == StatusCode::BAD_REQUEST && body.is_some()) => {}
            status => return Err(KeysError::Away(format!("Vault answered {status}"))),
        }
        let bytes = answer.bytes().await.map_err(|error| away(&error.without_url()))?;
        Ok(Some(serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    async fn batch(&self, what: &str, items: Vec<Value>) -> Result<Results, KeysError> {
        let mut all = Results::new();
        for items in items.chunks(BATCH) {
            let path = format!("{what}/{}", self.settings.key);
            let answer = self.ask(Method::POST, &path, Some(json!({ "batch_input": items }))).await?;
            let results = answer.ok_or_else(|| self.no_key())?["data"]["batch_results"].as_array().cloned();
            match results.filter(|results| results.len() == items.len()) {
                Some(results) => all.extend(results),
                None => return Err(KeysError::Away("Vault's answer is not that of a batch".to_owned())),
            }
        }
        Ok(all)
    }

    fn no_key(&self) -> KeysError {
        let VaultSettings { mount, key, .. } = &self.settings;
        KeysError::Refused(format!(
            "ROLLCALL_VAULT_KEY: Vault has no key {mount}/{key}, but data keys are wrapped under it: restore it, for without it nothing can be read"
        ))
    }

    /// The first and the last version that unwrap.
    async fn versions(&self) -> Result<Option<(u64, u64)>, KeysError> {
        let answer = self.ask(Method::GET, &format!("keys/{}", self.settings.key), None).await?;
        let number = |answer: &Value, name: &str| answer["data"][name].as_u64();
        let versions =
            |answer| Some((number(&answer, "min_decryption_version")?, number(&answer, "latest_version")?));
        let unreadable = || KeysError::Away("Vault's answer is not that of a transit key".to_owned());
        answer.map(|answer| versions(answer).ok_or_else(unreadable)).transpose()
    }

    async fn make_key(&self) -> Result<(), KeysError> {
        if self.versions().await?.is_none() {
            let body = json!({ "type": "aes256-gcm96", "exportable": false });
            self.ask(Method::POST, &format!("keys/{}", self.settings.key), Some(body)).await?;
        }
        Ok(())
    }

    async fn last_version(&self) -> Result<u64, KeysError> {
        Ok(self.versions().await?.ok_or_else(|| self.no_key())?.1)
    }

    async fn have(&self, masters: Vec<String>) -> Result<(), KeysError> {
        let (first, last) = self.versions().await?.ok_or_else(|| self.no_key())?;
        let version = |master: &str| master.strip_prefix(&self.prefix())?.parse().ok();
        let is_there =
            |master: &String| version(master).is_some_and(|version: u64| (first..=last).contains(&version));
        match masters.iter().find(|master| !is_there(master)) {
            None => Ok(()),
            Some(missing) => Err(KeysError::Refused(format!(
                "ROLLCALL_VAULT_KEY: the key store is wrapped under {missing}, which this key is not, or unwraps no longer: it is another \
                 deployment's. Without the right one nothing can be read"
            ))),
        }
    }

    async fn wrap_all(&self, keys: Vec<Bare>) -> Result<Vec<Wrapped>, KeysError> {
        let item = |key: &Bare| json!({ "plaintext": *Zeroizing::new(STANDARD.encode(key.secret.bytes())), "associated_data": STANDARD.encode(&key.bound_to) });
        let results = self.batch("encrypt", keys.iter().map(item).collect()).await?;
        let wrapped = |result: &Value| {
            let ciphertext = result["ciphertext"].as_str()?;
            Some(Wrapped { master: self.master(ciphertext)?, bytes: ciphertext.as_bytes().to_vec() })
        };
        let wrapped: Option<Vec<_>> = results.iter().map(wrapped).collect();
        wrapped.ok_or_else(|| KeysError::Away("Vault did not wrap a key".to_owned()))
    }

    async fn unwrap_all(&self, keys: Vec<Bound>) -> Result<Vec<Option<Secret>>, KeysError> {
        let item = |key: &Bound| {
            let ciphertext = String::from_utf8_lossy(&key.wrapped.bytes).into_owned();
            json!({ "ciphertext": ciphertext, "associated_data": STANDARD.encode(&key.bound_to) })
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
        self.ask(Method::POST, &path, Some(json!({}))).await?.ok_or_else(|| self.no_key())?;
        Ok(format!("{}{}", self.prefix(), self.last_version().await?))
    }

    /// What is older than the current version unwraps no more. Vault keeps it all the same until somebody trims the key.
    async fn retire_old(&self) -> Result<(), KeysError> {
        let (path, version) = (format!("keys/{}/config", self.settings.key), self.last_version().await?);
        let body = json!({ "min_decryption_version": version });
        self.ask(Method::POST, &path, Some(body)).await?.ok_or_else(|| self.no_key()).map(drop)
    }
}

fn away(error: &reqwest::Error) -> KeysError {
    KeysError::Away(format!("Vault does not answer: {error}"))
}

impl Wrapper for Vault {
    fn look(&self) -> Result<(), KeysError> {
        Ok(())
    }

    fn make(&self) -> Answer<'_, ()> {
        self.make_key().boxed()
    }

    fn current(&self) -> Answer<'_, String> {
        async { Ok(format!("{}{}", self.prefix(), self.last_version().await?)) }.boxed()
    }

    fn has(&self, masters: Vec<String>) -> Answer<'_, ()> {
        self.have(masters).boxed()
    }

    fn wrap(&self, keys: Vec<Bare>) -> Answer<'_, Vec<Wrapped>> {
        self.wrap_all(keys).boxed()
    }

    fn unwrap(&self, keys: Vec<Bound>) -> Answer<'_, Vec<Option<Secret>>> {
        self.unwrap_all(keys).boxed()
    }

    fn rotate(&self) -> Answer<'_, String> {
        self.rotated().boxed()
    }

    fn retire(&self) -> Answer<'_, ()> {
        self.retire_old().boxed()
    }
}
