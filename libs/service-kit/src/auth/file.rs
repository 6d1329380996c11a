//! A key set in a file, reloaded when the file changes.

use super::keys::KeySet;
use crate::file_version::FileVersion;
use anyhow::Context as _;
use arc_swap::ArcSwap;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// How often the file is checked.
const CHECK_EVERY: Duration = Duration::from_secs(2);

pub(super) struct FileSource {
    path: PathBuf,
    keys: ArcSwap<KeySet>,
    seen: Mutex<Seen>,
}

struct Seen {
    version: FileVersion,
    checked_at: Instant,
}

impl FileSource {
    /// Loads the file for the first time.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let read = || anyhow::Ok((FileVersion::of(path)?, KeySet::parse(&fs::read(path)?)?));
        let (version, keys) =
            read().with_context(|| format!("the key set {} can't be read", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            keys: ArcSwap::from_pointee(keys),
            seen: Mutex::new(Seen { version, checked_at: Instant::now() }),
        })
    }

    /// The key set. Checks at intervals whether the file has changed.
    pub(super) fn keys(&self) -> Arc<KeySet> {
        if let Ok(mut seen) = self.seen.try_lock()
            && seen.checked_at.elapsed() >= CHECK_EVERY
        {
            self.check(&mut seen);
        }
        self.keys.load_full()
    }

    /// The key set, after checking the file now.
    pub(super) fn reload(&self) -> Arc<KeySet> {
        if let Ok(mut seen) = self.seen.lock() {
            self.check(&mut seen);
        }
        self.keys.load_full()
    }

    fn check(&self, seen: &mut Seen) {
        seen.checked_at = Instant::now();
        if let Err(error) = self.read_if_changed(seen) {
            tracing::warn!(path = %self.path.display(), %error, "the key set can't be reloaded; the previous one stays in use");
        }
    }

    fn read_if_changed(&self, seen: &mut Seen) -> anyhow::Result<()> {
        let now = FileVersion::of(&self.path)?;
        if now != seen.version {
            self.keys.store(Arc::new(KeySet::parse(&fs::read(&self.path)?)?));
            seen.version = now;
        }
        Ok(())
    }
}
