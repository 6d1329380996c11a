//! Master keys in a file, one per line: an id and the key in base64. The first one wraps. The
//! others remain until a rotation is complete.

use super::{
    KeysError, random,
    wrapper::{Answer, PlainKey, Wrapped, WrappedKey, Wrapper},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::codec::{KEY_LEN, NONCE_LEN, Secret};
use futures_util::FutureExt as _;
use service_kit::{atomic_file, file_version::FileVersion};
use std::{
    fs::File,
    io::{ErrorKind, Read as _},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use uuid::Uuid;
use zeroize::Zeroizing;

const NAME: &str = "ROLLCALL_MASTER_KEY_FILE";
/// Mode bits that give access to others than the owner.
const OTHERS: u32 = 0o077;

/// A master key.
struct Master {
    id: String,
    secret: Secret,
}

/// The keys of a file, the current one first.
type Masters = Vec<Master>;

/// The file. It is checked before each use, which costs a `stat`, so a rotation reaches every
/// process at once.
pub(super) struct KeyFile {
    path: PathBuf,
    read: Mutex<Option<(FileVersion, Arc<Masters>)>>,
}

impl KeyFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read: Mutex::default() }
    }

    /// The keys in the file now. `None` if there is no file.
    fn masters(&self) -> Result<Option<Arc<Masters>>, KeysError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.refused(&format!("can't be read: {}", error.kind()))),
        };
        let version = self.checked(&file)?;
        if let Some((seen, masters)) = &*read
            && *seen == version
        {
            return Ok(Some(masters.clone()));
        }
        let masters = Arc::new(self.parse(file)?);
        *read = Some((version, masters.clone()));
        Ok(Some(masters))
    }

    /// The version of the file, if only its owner can read it.
    fn checked(&self, file: &File) -> Result<FileVersion, KeysError> {
        let meta =
            file.metadata().map_err(|error| self.refused(&format!("can't be read: {}", error.kind())))?;
        if meta.is_dir() {
            return Err(self.refused("is a directory, not the file with the master key"));
        }
        if meta.mode() & OTHERS != 0 {
            return Err(self.refused(&format!(
                "its mode is {:o}, so others than its owner can read the master key: run chmod 600, and consider who may have read it",
                meta.mode() & 0o777
            )));
        }
        Ok(FileVersion::from(&meta))
    }

    fn parse(&self, mut file: File) -> Result<Masters, KeysError> {
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(|_| self.refused("is not text"))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let masters: Option<Masters> = lines.map(master).collect();
        match masters.filter(|masters| !masters.is_empty()) {
            Some(masters) => Ok(masters),
            None => Err(self.refused("must hold lines of an id, a space and 32 bytes in base64")),
        }
    }

    fn existing(&self) -> Result<Arc<Masters>, KeysError> {
        self.masters()?.ok_or_else(|| {
            self.refused("is not there, but data keys are wrapped under its master key: restore it, because nothing can be read without it")
        })
    }

    fn refused(&self, what: &str) -> KeysError {
        KeysError::NeedsOperator(format!("{NAME}: {} {what}", self.path.display()))
    }

    /// Writes the file durably: data keys must not be wrapped under a master key that is in no
    /// file. With `is_first`, an existing file is left alone.
    fn write(&self, masters: &[(String, Secret)], is_first: bool) -> Result<(), KeysError> {
        let line = |(id, secret): &(String, Secret)| {
            format!("{id} {}\n", *Zeroizing::new(STANDARD.encode(secret.bytes())))
        };
        let text = Zeroizing::new(HEADING.to_owned() + &masters.iter().map(line).collect::<String>());
        let write = if is_first { atomic_file::create } else { atomic_file::replace };
        match write(&self.path, text.as_bytes(), 0o600) {
            // Another process was first.
            Err(error) if is_first && error.kind() == ErrorKind::AlreadyExists => Ok(()),
            written => written.map_err(|error| self.refused(&format!("can't be written: {}", error.kind()))),
        }
    }
}

const HEADING: &str = "# Master keys of Rollcall. Anyone with this file and the key store can read every user; without it nobody can.\n";

fn master(line: &str) -> Option<Master> {
    let (id, key) = line.split_once(' ')?;
    let is_plain = (1..=64).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    let bytes = Zeroizing::new(STANDARD.decode(key.trim()).ok()?);
    let secret = Secret::of_bytes(&bytes).filter(|_| is_plain)?;
    Some(Master { id: id.to_owned(), secret })
}

fn new_master() -> Result<(String, Secret), KeysError> {
    Ok((format!("file-{}", &Uuid::new_v4().simple().to_string()[..12]), random()?))
}

fn wrap(master: &Master, key: &PlainKey) -> Result<Wrapped, KeysError> {
    let sealed = master.secret.seal(key.aad.as_bytes(), key.secret.bytes());
    let sealed = sealed.map_err(|_| KeysError::NeedsOperator("a data key can't be wrapped".to_owned()))?;
    Ok(Wrapped { master: master.id.clone(), bytes: [sealed.nonce, sealed.ciphertext].concat() })
}

fn unwrap(masters: &Masters, key: &WrappedKey) -> Option<Secret> {
    let master = masters.iter().find(|master| master.id == key.wrapped.master)?;
    let (nonce, ciphertext) = key.wrapped.bytes.split_at_checked(NONCE_LEN)?;
    let opened = master.secret.open(key.aad.as_bytes(), nonce, ciphertext).ok()?;
    Secret::of_bytes(&opened).filter(|_| opened.len() == KEY_LEN)
}

impl Wrapper for KeyFile {
    fn setting(&self) -> &'static str {
        NAME
    }

    fn check_local(&self) -> Result<(), KeysError> {
        self.masters().map(drop)
    }

    fn create_first(&self) -> Answer<'_, ()> {
        let create = || match self.masters()? {
            Some(_) => Ok(()),
            None => self.write(&[new_master()?], true),
        };
        std::future::ready(create()).boxed()
    }

    fn current(&self) -> Answer<'_, String> {
        let current = self.existing().and_then(|masters| {
            masters.first().map(|master| master.id.clone()).ok_or_else(|| self.refused("is empty"))
        });
        std::future::ready(current).boxed()
    }

    fn check_has(&self, wanted: Vec<String>) -> Answer<'_, ()> {
        let check = || {
            let masters = self.existing()?;
            match wanted.iter().find(|wanted| !masters.iter().any(|master| master.id == **wanted)) {
                None => Ok(()),
                Some(missing) => Err(self.refused(&format!(
                    "does not hold the master key {missing}, under which data keys are wrapped: it belongs to another deployment, or \
                     one of the two was restored from before a rotation, which destroys the old master key. Restore both as they were after the \
                     last rotation, because nothing can be read otherwise"
                ))),
            }
        };
        std::future::ready(check()).boxed()
    }

    fn wrap(&self, keys: Vec<PlainKey>) -> Answer<'_, Vec<Wrapped>> {
        let wrapped = self.existing().and_then(|masters| {
            let master = masters.first().ok_or_else(|| self.refused("is empty"))?;
            keys.iter().map(|key| wrap(master, key)).collect()
        });
        std::future::ready(wrapped).boxed()
    }

    fn unwrap(&self, keys: Vec<WrappedKey>) -> Answer<'_, Vec<Option<Secret>>> {
        let unwrapped = self.existing().map(|masters| keys.iter().map(|key| unwrap(&masters, key)).collect());
        std::future::ready(unwrapped).boxed()
    }

    fn rotate(&self) -> Answer<'_, String> {
        let rotate = || {
            let new = new_master()?;
            let id = new.0.clone();
            let old = self.existing()?;
            let old = old.iter().map(|master| (master.id.clone(), master.secret.clone()));
            let masters: Vec<_> = std::iter::once(new).chain(old).collect();
            self.write(&masters, false).map(|()| id)
        };
        std::future::ready(rotate()).boxed()
    }

    fn retire(&self) -> Answer<'_, ()> {
        let retire = || {
            let masters = self.existing()?;
            let current = masters.first().map(|master| (master.id.clone(), master.secret.clone()));
            self.write(&Vec::from_iter(current), false)
        };
        std::future::ready(retire()).boxed()
    }
}

#[cfg(test)]
mod tests;
