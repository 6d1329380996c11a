//! Requests to the transit engine, and what its refusals mean.

use super::Vault;
use crate::KeysError;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use service_kit::settings::VaultSettings;

/// The maximum number of keys in one request.
const BATCH: usize = 250;

/// The results of a batch request.
pub(super) type Results = Vec<Value>;

/// A response that the caller evaluates.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) body: Value,
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
    /// Sends a request. Errors do not contain what was sent.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Response, KeysError> {
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
    pub(super) async fn change(&self, path: &str, body: Value) -> Result<(), KeysError> {
        let response = self.send(Method::POST, path, Some(body)).await?;
        if response.status.is_success() { Ok(()) } else { Err(self.refused().await) }
    }

    pub(super) async fn batch(&self, what: &str, items: Vec<Value>) -> Result<Results, KeysError> {
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

    pub(super) fn no_key(&self) -> KeysError {
        let VaultSettings { mount, key, .. } = &self.settings;
        KeysError::NeedsOperator(format!(
            "ROLLCALL_VAULT_KEY: Vault has no key {mount}/{key}, but data keys are wrapped under it: restore it, because nothing can be read without it"
        ))
    }
}

pub(super) fn unavailable(error: &reqwest::Error) -> KeysError {
    KeysError::Unavailable(format!("Vault does not answer: {error}"))
}
