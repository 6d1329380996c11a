//! Builds the programs before the first one is started.

use crate::workspace;
use std::{path::PathBuf, process::Command, sync::Once};

static BUILT: Once = Once::new();

/// The path of a program.
pub(crate) fn program(name: &str) -> PathBuf {
    BUILT.call_once(build);
    profile_dir().join(name)
}

/// Builds the programs in the profile of the tests.
fn build() {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        // Naming the suite gives dependencies the same features as in a build of the tests.
        .args(["build", "--quiet", "--workspace", "--bins", "--test", "suite", "--features", "failpoints"])
        .current_dir(workspace());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo runs").success(), "the services can't be built");
}

/// `target/debug`, or the directory in which the tests were built.
pub(crate) fn profile_dir() -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    let dir = this.parent().expect("a program is in a directory");
    // Tests are in its `deps/`, other programs directly in it.
    dir.ancestors().find(|dir| !dir.ends_with("deps")).expect("deps/ is in a profile").to_owned()
}
