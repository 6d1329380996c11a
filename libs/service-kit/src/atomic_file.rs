//! Writes files atomically and durably: readers see the old content or the new, never a part.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// Creates a file with these permissions.
///
/// # Errors
/// `AlreadyExists` if there is a file, which stays as it is. Otherwise the I/O error.
pub fn create(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let draft = Draft::write(path, content, mode)?;
    // Unlike a rename, a link never replaces an existing file.
    let created = fs::hard_link(&draft.0, path);
    // Even if another process was first: its file must be durable before anyone relies on it.
    sync_directory(path)?;
    created
}

/// Creates a file with these permissions, or replaces it.
///
/// # Errors
/// The I/O error. The old file stays as it is.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let draft = Draft::write(path, content, mode)?;
    fs::rename(&draft.0, path)?;
    sync_directory(path)
}

/// A complete file next to its destination, removed on drop.
struct Draft(PathBuf);

impl Draft {
    fn write(destination: &Path, content: &[u8], mode: u32) -> io::Result<Self> {
        let path = destination.with_extension(format!("new-{}", Uuid::new_v4().simple()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        let draft = Self(path);
        file.write_all(content)?;
        file.sync_all()?;
        Ok(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename it no longer exists.
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes a file's name durable, so that it survives a power failure.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_name_alone_has_a_directory_too() {
        let place = tempfile::tempdir().unwrap();
        sync_directory(&place.path().join("master.key")).unwrap();
        sync_directory(Path::new("master.key")).unwrap();
        assert!(sync_directory(&place.path().join("nowhere/master.key")).is_err());
    }

    #[test]
    fn create_keeps_an_existing_file_and_replace_does_not() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        create(&path, b"first", 0o600).unwrap();
        let error = create(&path, b"second", 0o600).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        replace(&path, b"third", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "no draft is left");
    }
}
