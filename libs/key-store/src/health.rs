//! The key store in the health checks of a process.

use super::{Keys, KeysError, retry_once};
use futures_util::FutureExt as _;
use service_kit::health::Health;

impl Keys {
    /// Adds the key store to the health checks of a process.
    pub fn watch(&self, health: &Health) {
        let keys = self.clone();
        health.add("keys", move || {
            let keys = keys.clone();
            async move { keys.ping().await }.boxed()
        });
    }

    /// Checks that the key store answers and accepts writes, and that the master key, which may be
    /// lost at any time, is there and right.
    async fn ping(&self) -> Result<(), String> {
        let read = retry_once(|| self.read_id_secret(&self.0.checks)).await;
        read.map_err(|error| public_reason(&error))?;
        match &self.0.writes {
            Some(apart) => apart.check().await,
            // The read model's database, which has its own check.
            None => Ok(()),
        }
    }
}

/// The reason for anyone who asks for the health, without file paths.
fn public_reason(error: &KeysError) -> String {
    match error {
        KeysError::NeedsOperator(_) => {
            tracing::error!(%error, "keys are unavailable");
            "the master key is lost, wrong or accessible to others, or Vault rejects the token: see the log of this process".to_owned()
        }
        KeysError::Unavailable(_) | KeysError::NoAnswer => error.to_string(),
    }
}
