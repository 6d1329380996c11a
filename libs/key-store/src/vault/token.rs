//! The token for Vault: reloaded from its file when that changes, and renewed before it expires.

use super::{Vault, api::unavailable};
use crate::KeysError;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use service_kit::{file_version::FileVersion, settings::VaultSettings};
use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// The shortest and longest interval between lookups of the token.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));
/// How long to wait after Vault did not answer, and between checks of the file.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// How long before its end a token that can't be renewed any more is reported.
const WARN: Duration = Duration::from_secs(24 * 3_600);

type Text = Zeroizing<String>;

/// The token.
pub(super) struct Token {
    file: Option<PathBuf>,
    read: Mutex<(Option<FileVersion>, Text)>,
}

impl Token {
    pub(super) fn new(settings: &VaultSettings) -> Self {
        let given = Zeroizing::new(settings.token.clone());
        Self { file: settings.token_file.clone(), read: Mutex::new((None, given)) }
    }

    /// The current token. If the file can't be read or is empty, it may be about to be replaced:
    /// the last token is used until then.
    pub(super) fn now(&self) -> Text {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let version = self.file.as_deref().and_then(|file| FileVersion::of(file).ok());
        if let (Some(file), Some(_)) = (&self.file, version)
            && read.0 != version
            && let Ok(text) = fs::read_to_string(file).map(Zeroizing::new)
            && !text.trim().is_empty()
        {
            *read = (version, Zeroizing::new(text.trim().to_owned()));
        }
        read.1.clone()
    }
}

/// What Vault reports about a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    /// How long it remains valid. `None`: it never expires.
    pub(super) left: Option<Duration>,
    pub(super) is_renewable: bool,
}

impl Lease {
    /// Reads a lookup's or a renewal's response.
    pub(super) fn read(said: &Value, left: &str) -> Option<Self> {
        let seconds = said[left].as_u64()?;
        let is_endless = seconds == 0 && said["expire_time"].is_null();
        let left = (!is_endless).then_some(Duration::from_secs(seconds));
        Some(Self { left, is_renewable: said["renewable"].as_bool().unwrap_or_default() })
    }

    /// When to look again: while most of the time is still left.
    pub(super) fn pause(self) -> Duration {
        self.left.map_or(INTERVAL.1, |left| (left / 3).clamp(INTERVAL.0, INTERVAL.1))
    }

    /// The remaining time of a token that is about to expire. A renewable one is, when renewals
    /// extend it less and less: `longest` is the longest lease seen here.
    pub(super) fn ends_in(self, longest: Duration) -> Option<Duration> {
        let left = self.left?;
        (left < WARN && (!self.is_renewable || left * 2 < longest)).then_some(left)
    }
}

impl Vault {
    /// Maintains the token for as long as the process lives.
    pub(super) async fn maintain_token(&self) {
        let (mut current, mut longest) = (Text::default(), Duration::ZERO);
        loop {
            let token = self.token.now();
            if token != current {
                (current, longest) = (token, Duration::ZERO);
            }
            let pause = match self.renew_token(&current).await {
                Ok(lease) => {
                    longest = longest.max(lease.left.unwrap_or_default());
                    warn_of_end(lease, longest);
                    lease.pause()
                }
                // Whoever needs a key, or asks for the health, gets the same error.
                Err(error) => {
                    tracing::warn!(%error, "Vault's token can't be renewed");
                    if matches!(error, KeysError::NeedsOperator(_)) { INTERVAL.1 } else { RETRY_INTERVAL }
                }
            };
            self.rest(pause, &current).await;
        }
    }

    /// Waits, but only until the file has another token.
    async fn rest(&self, pause: Duration, token: &Text) {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.token.now() != *token {
                return;
            }
            tokio::time::sleep(left.min(RETRY_INTERVAL)).await;
        }
    }

    /// Renews the token if possible. Returns what is left of it.
    async fn renew_token(&self, token: &Text) -> Result<Lease, KeysError> {
        let lease = self.token_request(token, Method::GET, "lookup-self", "/data", "ttl").await?;
        if lease.left.is_none() || !lease.is_renewable {
            return Ok(lease);
        }
        self.token_request(token, Method::POST, "renew-self", "/auth", "lease_duration").await
    }

    async fn token_request(
        &self,
        token: &Text,
        method: Method,
        verb: &str,
        member: &str,
        left: &str,
    ) -> Result<Lease, KeysError> {
        let url = format!("{}/v1/auth/token/{verb}", self.settings.addr);
        let request = self.client.request(method.clone(), url);
        let request = request.header("X-Vault-Token", token.as_str()).header("X-Vault-Request", "true");
        let request = if method == Method::POST { request.json(&json!({})) } else { request };
        let answer = request.send().await.map_err(|error| unavailable(&error.without_url()))?;
        let status = answer.status();
        if matches!(status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) {
            return Err(KeysError::NeedsOperator(format!(
                "ROLLCALL_VAULT_TOKEN: Vault denies auth/token/{verb}: the token expired, was revoked, or lacks the right"
            )));
        }
        let bytes = answer.bytes().await.map_err(|error| unavailable(&error.without_url()))?;
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let lease = said.pointer(member).and_then(|said| Lease::read(said, left));
        lease.ok_or_else(|| KeysError::Unavailable(format!("Vault answered {status} about its token")))
    }
}

fn warn_of_end(lease: Lease, longest: Duration) {
    if let Some(left) = lease.ends_in(longest) {
        tracing::warn!(
            seconds = left.as_secs(),
            "Vault's token expires soon and can't be renewed any further. After that no key can be wrapped or unwrapped, and writes fail. Put \
             another token into the file that ROLLCALL_VAULT_TOKEN_FILE names (it is reloaded when it changes), or set \
             ROLLCALL_VAULT_TOKEN and restart"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(seconds: u64, is_renewable: bool) -> Lease {
        Lease { left: Some(Duration::from_secs(seconds)), is_renewable }
    }

    #[test]
    fn a_token_without_an_end_is_told_from_one_that_is_over() {
        let read = |said: Value| Lease::read(&said, "ttl").unwrap().left;
        assert_eq!(read(json!({ "ttl": 0, "expire_time": null, "renewable": false })), None);
        assert_eq!(read(json!({ "ttl": 0, "expire_time": "2026-01-01T00:00:00Z" })), Some(Duration::ZERO));
        assert_eq!(Lease::read(&json!({}), "ttl"), None);
    }

    #[test]
    fn it_is_looked_at_again_long_before_its_end() {
        assert_eq!(lease(60, true).pause(), Duration::from_secs(20));
        assert_eq!(lease(0, true).pause(), INTERVAL.0);
        assert_eq!(Lease { left: None, is_renewable: false }.pause(), INTERVAL.1);
    }

    #[test]
    fn a_token_that_is_renewed_in_full_is_no_warning() {
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3_600));
        assert_eq!(lease(3_600, true).ends_in(hour), None, "it is short, and renewed");
        assert_eq!(lease(60, true).ends_in(hour), Some(minute), "its longest life is nearly reached");
        assert_eq!(lease(60, false).ends_in(minute), Some(minute), "nothing renews it");
        assert_eq!(lease(100_000, false).ends_in(minute), None);
    }

    #[test]
    fn a_file_is_read_again_when_it_changes() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("token");
        fs::write(&file, "one\n").unwrap();
        let settings = VaultSettings {
            addr: String::new(),
            token: "at the start".to_owned(),
            token_file: Some(file.clone()),
            mount: String::new(),
            key: String::new(),
        };
        let token = Token::new(&settings);
        assert_eq!(token.now().as_str(), "one");
        fs::write(&file, "another").unwrap();
        assert_eq!(token.now().as_str(), "another");
        fs::write(&file, "").unwrap();
        assert_eq!(token.now().as_str(), "another", "it is being written");
        fs::remove_file(&file).unwrap();
        assert_eq!(token.now().as_str(), "another");
    }
}
