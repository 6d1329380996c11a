//! The programs that the tests run, built before the first of them is started.

use crate::workspace;
use std::{path::PathBuf, process::Command, sync::Once};

static BUILT: Once = Once::new();

/// One of them, as it was just built.
pub(crate) fn program(name: &str) -> PathBuf {
    BUILT.call_once(build);
    profile_dir().join(name)
}

/// In the profile in which the tests were built.
fn build() {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        // The suite is named so that dependencies have the features that they have in a build of the tests.
        .args(["build", "--quiet", "--workspace", "--bins", "--test", "suite", "--features", "failpoints"])
        .current_dir(workspace());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo runs").success(), "the services can't be built");
}

/// `target/debug`, or wherever these tests were built.
pub(crate) fn profile_dir() -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    let dir = this.parent().expect("a program is in a directory");
    // Tests are in `deps/` of that directory, other programs in it.
    dir.ancestors().find(|dir| !dir.ends_with("deps")).expect("deps/ is in a profile").to_owned()
}
