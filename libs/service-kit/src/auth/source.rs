//! Where the key set comes from.

use super::{file::FileSource, keys::KeySet, local, remote::RemoteSource};
use crate::{problem::Problem, settings::Jwks};
use std::{path::Path, sync::Arc};

/// A key set that may change.
pub(super) enum Source {
    /// A file. Also used for the key set of the locally generated key pair.
    File(FileSource),
    /// Fetched from a URL.
    Remote(Arc<RemoteSource>),
}

impl Source {
    pub(super) fn new(jwks: &Jwks, home: &Path) -> anyhow::Result<Self> {
        Ok(match jwks {
            Jwks::File(path) => Self::File(FileSource::open(path)?),
            Jwks::Local => Self::File(FileSource::open(&local::ensure(home)?.jwks_path)?),
            Jwks::Url(url) => Self::Remote(Arc::new(RemoteSource::new(url)?)),
        })
    }

    /// The current key set. 503 if there is none.
    pub(super) async fn keys(&self) -> Result<Arc<KeySet>, Problem> {
        match self {
            Self::File(file) => Ok(file.keys()),
            Self::Remote(remote) => remote.keys().await,
        }
    }

    /// Refreshes the key set because a token's key is not in `old`. Gives `old` if it was refreshed
    /// a moment ago.
    pub(super) async fn newer_than(&self, old: Arc<KeySet>) -> Result<Arc<KeySet>, Problem> {
        match self {
            Self::File(file) => Ok(file.reload()),
            Self::Remote(remote) => remote.newer_than(old).await,
        }
    }
}
