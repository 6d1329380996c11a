//! Golden logs: small logs of earlier releases, sealed under test keys, and what they fold to.
//! `docs/design/testing.md` says how they are recorded and loaded.

mod expected;
mod keys;
mod lines;
mod record;

pub use expected::folded_to;
pub use record::{is_folded, record};

use crate::{Deployment, RawRecord, append_raw, workspace};
use serde_json::Value;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// A golden log in the tree.
pub struct Golden {
    /// The day on which it was recorded.
    pub name: String,
    /// What it folds to.
    pub expected: Value,
    dir: PathBuf,
}

impl Golden {
    /// All of them.
    ///
    /// # Panics
    /// One can't be read.
    pub fn all() -> Vec<Self> {
        let entries = fs::read_dir(folder()).expect("golden logs");
        let dirs = entries.map(|entry| entry.expect("a golden log").path()).filter(|path| path.is_dir());
        dirs.map(|dir| Self::read(&dir)).collect()
    }

    fn read(dir: &Path) -> Self {
        let name = dir.file_name().expect("a name").to_string_lossy().into_owned();
        let expected = fs::read_to_string(dir.join(EXPECTED)).expect("what it folds to");
        Self { name, expected: serde_json::from_str(&expected).expect("JSON"), dir: dir.to_owned() }
    }

    /// Its records.
    ///
    /// # Panics
    /// They can't be read.
    pub fn records(&self) -> Vec<RawRecord> {
        let text = fs::read_to_string(self.dir.join(LOG)).expect("a log");
        text.lines().map(lines::parse).collect()
    }

    /// Loads it into a deployment that has neither topics nor a key store yet.
    ///
    /// # Panics
    /// Something of it is refused.
    pub async fn load(&self, deployment: &Deployment) {
        // The services refuse a master key that others may read.
        let master = deployment.home().join(MASTER);
        fs::copy(self.dir.join(MASTER), &master).expect("the master key");
        fs::set_permissions(&master, Permissions::from_mode(0o600)).expect("the master key's mode");
        deployment.cli.run(&["migrate"]).expect(0);
        let rows = fs::read_to_string(self.dir.join(KEYS)).expect("the keys");
        keys::load(&deployment.keys, &serde_json::from_str(&rows).expect("JSON")).await;
        append_raw(deployment.brokers(), &deployment.prefix, &self.records()).await;
    }
}

const LOG: &str = "log.jsonl";
const KEYS: &str = "keys.json";
const MASTER: &str = "master.key";
const EXPECTED: &str = "expected.json";

/// The folder of all golden logs.
fn folder() -> PathBuf {
    workspace().join("tests/fixtures/golden")
}
