//! Writes a result to a new file.

use anyhow::{Context as _, bail, ensure};
use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};
use uuid::Uuid;

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
    let draft = path.with_extension(format!("new-{}", Uuid::new_v4().simple()));
    // Unlike a rename, a link never replaces an existing file.
    let written = write_private(&draft, content).and_then(|()| fs::hard_link(&draft, path));
    let _ = fs::remove_file(&draft);
    match written {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(exists(path)),
        written => written.with_context(|| format!("{} can't be written", path.display())),
    }
}

fn write_private(path: &Path, content: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    writeln!(file, "{content}")?;
    file.sync_all()
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
