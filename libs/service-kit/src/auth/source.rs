//! Where the key set comes from.

use super::{file::FileSource, keys::KeySet, local, remote::RemoteSource};
use crate::{problem::Problem, settings::Jwks};
use std::{path::Path, sync::Arc};

/// A key set that changes now and then.
pub(super) enum Source {
    /// A file, the local pair's too.
    File(FileSource),
    /// Fetched.
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

    /// The key set as it is now. 503 when there is none.
    pub(super) async fn keys(&self) -> Result<Arc<KeySet>, Problem> {
        match self {
            Self::File(file) => Ok(file.keys()),
            Self::Remote(remote) => remote.keys().await,
        }
    }

    /// The key set, asked for again because a token's key is not in `old`; `old` where that was done a moment ago.
    pub(super) async fn newer_than(&self, old: Arc<KeySet>) -> Result<Arc<KeySet>, Problem> {
        match self {
            Self::File(file) => Ok(file.reread()),
            Self::Remote(remote) => remote.newer_than(old).await,
        }
    }
}
