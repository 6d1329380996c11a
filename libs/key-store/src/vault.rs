//! Master keys in the transit engine of HashiCorp Vault or OpenBao, through its HTTP API. They
//! never leave it, and every version of the key has its own number. A master key's id is
//! `vault:<mount>/<key>:v<version>`.
//!
//! The services renew the token (`auth/token/renew-self`, which Vault's default policy allows) and
//! reload it from its file. A service's token needs `update` on `encrypt/<key>` and
//! `decrypt/<key>`, and `read` on `keys/<key>`. Migrating and rotating also need `create` and
//! `update` on `keys/<key>` and the paths below it. Nobody should have `create` on `encrypt/<key>`:
//! with that right Vault silently replaces a lost key by a new one.

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
const TIMEOUT: Duration = Duration::from_secs(4);
/// The maximum number of keys in one request.
const BATCH: usize = 250;

/// A key of the transit engine.
pub(super) struct Vault {
    settings: VaultSettings,
    token: Token,
    client: Client,
}

/// The results of a batch request.
type Results = Vec<Value>;

/// A response that the caller evaluates.
struct Response {
    status: StatusCode,
    body: Value,
}

impl Response {
    /// Whether Vault has no engine at that path. A missing key has no error text.
    fn is_no_engine(&self) -> bool {
        let says = |error: &Value| error.as_str().is_some_and(|error| error.contains("no handler for route"));
        self.body["errors"].as_array().is_some_and(|errors| errors.iter().any(says))
    }

    /// If items of a batch failed, the status is 400 and the items say which.
    fn results(&self) -> Option<&Results> {
        self.body["data"]["batch_results"].as_array()
    }
}

impl Vault {
    pub(super) fn new(settings: &VaultSettings) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(TIMEOUT).redirect(Policy::none()).build()?;
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

    /// Sends a request. Errors do not contain what was sent.
    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Response, KeysError> {
        let VaultSettings { addr, mount, .. } = &self.settings;
        let request = self.client.request(method, format!("{addr}/v1/{mount}/{path}"));
        // An intermediate Vault agent may require the second header.
        let request =
            request.header("X-Vault-Token", self.token.now().as_str()).header("X-Vault-Request", "true");
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        let reply = request.send().await.map_err(|error| unavailable(&error.without_url()))?;
        let status = reply.status();
        let bytes = reply.bytes().await.map_err(|error| unavailable(&error.without_url()))?;
        let response = Response { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) };
        match status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Err(self.access_denied()),
            StatusCode::NOT_FOUND if response.is_no_engine() => Err(self.no_engine()),
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => Ok(response),
            status if status.is_success() => Ok(response),
            // Sealed, on standby, or overloaded.
            status => Err(KeysError::Unavailable(format!("Vault answered {status}"))),
        }
    }

    /// Changes something about the key.
    async fn change(&self, path: &str, body: Value) -> Result<(), KeysError> {
        let response = self.send(Method::POST, path, Some(body)).await?;
        if response.status.is_success() { Ok(()) } else { Err(self.refused().await) }
    }

    async fn batch(&self, what: &str, items: Vec<Value>) -> Result<Results, KeysError> {
        let mut all = Results::new();
        for items in items.chunks(BATCH) {
            let path = format!("{what}/{}", self.settings.key);
            let response = self.send(Method::POST, &path, Some(json!({ "batch_input": items }))).await?;
            match response.results().filter(|results| results.len() == items.len()) {
                Some(results) => all.extend(results.iter().cloned()),
                None => return Err(self.refused().await),
            }
        }
        Ok(all)
    }

    /// Why a whole request was refused. Most likely the key does not exist, which Vault says only
    /// in prose.
    async fn refused(&self) -> KeysError {
        match self.versions().await {
            Ok(None) => self.no_key(),
            Ok(Some(_)) => {
                KeysError::Unavailable("Vault refused a request although the key exists".to_owned())
            }
            Err(error) => error,
        }
    }

    fn access_denied(&self) -> KeysError {
        let VaultSettings { mount, key, .. } = &self.settings;
        KeysError::NeedsOperator(format!(
            "ROLLCALL_VAULT_TOKEN: Vault denies access to the key {mount}/{key}: the token expired, was revoked, or lacks the right"
        ))
    }

    fn no_engine(&self) -> KeysError {
        let mount = &self.settings.mount;
        KeysError::NeedsOperator(format!("ROLLCALL_VAULT_MOUNT: Vault has no transit engine at {mount}/"))
    }

    fn no_key(&self) -> KeysError {
        let VaultSettings { mount, key, .. } = &self.settings;
        KeysError::NeedsOperator(format!(
            "ROLLCALL_VAULT_KEY: Vault has no key {mount}/{key}, but data keys are wrapped under it: restore it, because nothing can be read without it"
        ))
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

fn unavailable(error: &reqwest::Error) -> KeysError {
    KeysError::Unavailable(format!("Vault does not answer: {error}"))
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
