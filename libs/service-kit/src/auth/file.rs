//! A key set in a file, reloaded when the file changes.

use super::keys::KeySet;
use anyhow::Context as _;
use arc_swap::ArcSwap;
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// How often the file is checked.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Identifies a version of the file: inode, size, modification time.
type Stamp = (u64, u64, i64, i64);

pub(super) struct FileSource {
    path: PathBuf,
    keys: ArcSwap<KeySet>,
    seen: Mutex<Seen>,
}

struct Seen {
    stamp: Stamp,
    checked_at: Instant,
}

impl FileSource {
    /// Loads the file for the first time.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let read = || anyhow::Ok((stamp(path)?, KeySet::parse(&fs::read(path)?)?));
        let (stamp, keys) =
            read().with_context(|| format!("the key set {} can't be read", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            keys: ArcSwap::from_pointee(keys),
            seen: Mutex::new(Seen { stamp, checked_at: Instant::now() }),
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
        let now = stamp(&self.path)?;
        if now != seen.stamp {
            self.keys.store(Arc::new(KeySet::parse(&fs::read(&self.path)?)?));
            seen.stamp = now;
        }
        Ok(())
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let meta = fs::metadata(path)?;
    Ok((meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}
