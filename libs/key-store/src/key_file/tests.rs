use super::*;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};
use tempfile::TempDir;

/// A key file in its own directory.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("master.key")
    }

    fn open(&self) -> KeyFile {
        KeyFile::new(self.path())
    }
}

fn now<T>(answer: Answer<'_, T>) -> Result<T, KeysError> {
    answer.now_or_never().expect("a file does not keep anybody waiting")
}

fn plain(aad: &str) -> PlainKey {
    PlainKey { aad: aad.to_owned(), secret: Secret::random().unwrap() }
}

fn wrapped_key(aad: &str, wrapped: &Wrapped) -> Vec<WrappedKey> {
    vec![WrappedKey { aad: aad.to_owned(), wrapped: wrapped.clone() }]
}

#[track_caller]
fn words<T>(answer: Result<T, KeysError>) -> String {
    answer.err().map(|error| error.to_string()).expect("a refusal")
}

#[test]
fn a_wrapped_key_comes_back_where_it_belongs_and_nowhere_else() {
    let place = Place::new();
    let file = place.open();
    now(file.create_first()).unwrap();
    let key = plain("a");
    let bytes = key.secret.bytes().to_vec();
    let wrapped = now(file.wrap(vec![key])).unwrap().remove(0);
    let again = place.open();
    assert_eq!(now(again.unwrap(wrapped_key("a", &wrapped))).unwrap()[0].as_ref().unwrap().bytes(), bytes);
    assert!(now(again.unwrap(wrapped_key("b", &wrapped))).unwrap()[0].is_none());
    let cut = Wrapped { bytes: wrapped.bytes[..5].to_vec(), ..wrapped };
    assert!(now(again.unwrap(wrapped_key("a", &cut))).unwrap()[0].is_none());
}

#[test]
fn it_is_made_once_and_for_its_owner_alone() {
    let place = Place::new();
    now(place.open().create_first()).unwrap();
    let first = fs::read_to_string(place.path()).unwrap();
    assert_eq!(fs::metadata(place.path()).unwrap().mode() & 0o777, 0o600);
    now(place.open().create_first()).unwrap();
    assert_eq!(fs::read_to_string(place.path()).unwrap(), first);
    assert_eq!(fs::read_dir(place.0.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_is_wrong_with_it_is_said_in_words() {
    let place = Place::new();
    let file = place.open();
    assert!(words(now(file.current())).contains("is not there"));
    now(file.create_first()).unwrap();
    assert!(
        words(now(file.check_has(vec!["file-other".to_owned()])))
            .contains("does not hold the master key file-other")
    );
    fs::set_permissions(place.path(), Permissions::from_mode(0o640)).unwrap();
    assert!(words(file.check_local()).contains("its mode is 640"));
    fs::set_permissions(place.path(), Permissions::from_mode(0o600)).unwrap();
    for bad in ["", "# nothing\n", "id", "id c2hvcnQ=", "a/b AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] {
        fs::write(place.path(), bad).unwrap();
        let said = words(file.check_local());
        assert!(said.contains("must hold lines") && !said.contains("AAAA"), "{said}");
    }
}

#[test]
fn a_directory_in_its_place_is_said_to_be_one() {
    let place = Place::new();
    fs::create_dir(place.path()).unwrap();
    let said = words(place.open().check_local());
    assert!(said.contains("is a directory") && !said.contains("chmod"), "{said}");
}

#[test]
fn a_rotation_reaches_who_had_read_the_file_before() {
    let place = Place::new();
    let (file, service) = (place.open(), place.open());
    now(file.create_first()).unwrap();
    let before = now(service.current()).unwrap();
    let old = now(service.wrap(vec![plain("a")])).unwrap().remove(0);
    let new = now(file.rotate()).unwrap();
    assert_ne!(before, new);
    assert_eq!(now(service.current()).unwrap(), new);
    assert!(now(service.unwrap(wrapped_key("a", &old))).unwrap()[0].is_some(), "the old one still unwraps");
    now(file.retire()).unwrap();
    assert!(now(service.unwrap(wrapped_key("a", &old))).unwrap()[0].is_none(), "and then it is gone");
    now(service.check_has(vec![new])).unwrap();
}
