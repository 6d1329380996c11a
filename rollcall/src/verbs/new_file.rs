//! Writes a result to a new file.

use anyhow::{Context as _, bail, ensure};
use service_kit::atomic_file;
use std::{fs, io::ErrorKind, path::Path};

/// Fails early if the file could not be written in the end.
pub(super) fn check(path: &Path) -> anyhow::Result<()> {
    ensure!(fs::symlink_metadata(path).is_err(), exists(path));
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or_else(|| Path::new("."));
    ensure!(
        directory.is_dir(),
        "{} can't be written: {} is no directory",
        path.display(),
        directory.display()
    );
    Ok(())
}

/// Writes a file that only its owner can read, completely or not at all. Never overwrites a file.
pub(super) fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    match atomic_file::create(path, format!("{content}\n").as_bytes(), 0o600) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(exists(path)),
        written => written.with_context(|| format!("{} can't be written", path.display())),
    }
}

fn exists(path: &Path) -> String {
    format!("{} already exists and is not overwritten: name another file", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_draft_is_left_behind() {
        let directory = std::env::temp_dir().join(format!("rollcall-new-file-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("user.json");
        write(&path, "first").unwrap();
        let refused = write(&path, "second").unwrap_err().to_string();
        let left: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        let content = fs::read_to_string(&path).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        assert!(refused.contains("already exists"), "{refused}");
        assert_eq!((left, content.as_str()), (vec![path], "first\n"));
    }
}
