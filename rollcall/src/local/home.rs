//! `$ROLLCALL_HOME`: the directory of the local stores.

use anyhow::{Context, ensure};
use nix::unistd::geteuid;
use service_kit::atomic_file;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// A log larger than this is renamed before a child starts.
const LOG_LIMIT: u64 = 16 * 1024 * 1024;

/// The directory, as an absolute path.
#[derive(Clone)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// Creates the directory if it does not exist.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        refuse_control(&std::path::absolute(path)?)?;
        // Under root the database server runs as another user and must be able to enter. Secret files
        // have a mode of their own.
        let mode = if geteuid().is_root() { 0o711 } else { 0o700 };
        let create = || {
            DirBuilder::new().recursive(true).mode(mode).create(path)?;
            DirBuilder::new().recursive(true).mode(0o700).create(path.join("logs"))?;
            path.canonicalize()
        };
        create().map(Self).with_context(|| format!("ROLLCALL_HOME: can't use {}", path.display()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file or directory in the home.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The secret in a file, which is created if it does not exist.
    pub(crate) fn secret(&self, name: &str) -> anyhow::Result<String> {
        let path = self.join(name);
        match fs::read_to_string(&path) {
            Ok(secret) => Ok(secret.trim_end().to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
                write_private(&path, &secret)?;
                Ok(secret)
            }
            Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
        }
    }

    /// The path of a child's log.
    pub(crate) fn log_path(&self, name: &str) -> PathBuf {
        self.join("logs").join(format!("{name}.log"))
    }

    /// Opens a child's log for appending.
    pub(crate) fn open_log(&self, name: &str) -> anyhow::Result<File> {
        let path = self.log_path(name);
        if fs::metadata(&path).is_ok_and(|log| log.len() > LOG_LIMIT) {
            fs::rename(&path, path.with_extension("log.old"))?;
        }
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        log.with_context(|| format!("can't write {}", path.display()))
    }
}

/// PostgreSQL's initdb accepts all other characters.
fn refuse_control(path: &Path) -> anyhow::Result<()> {
    let has_control = path.to_string_lossy().contains(char::is_control);
    ensure!(
        !has_control,
        "ROLLCALL_HOME: {path:?} contains a line break or another control character: use another directory"
    );
    Ok(())
}

/// Writes a file that only its owner can read, completely or not at all.
pub(crate) fn write_private(path: &Path, content: &str) -> anyhow::Result<()> {
    atomic_file::replace(path, content.as_bytes(), 0o600)
        .with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_in_a_home_is_refused_and_other_characters_are_not() {
        let refused = refuse_control(Path::new("/a\nb")).unwrap_err().to_string();
        assert!(refused.starts_with("ROLLCALL_HOME: "), "{refused}");
        refuse_control(Path::new("/o\"d'd %s \\ ,;:*${x}#=höme")).unwrap();
    }
}
