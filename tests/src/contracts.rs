//! Runs the foreign tools in `tests/contracts`.

use crate::workspace;
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
    thread,
};

/// Where the tools are. Installed by the first test that needs them, and kept for later runs.
static TOOLS: LazyLock<PathBuf> = LazyLock::new(|| {
    let tools = workspace().join("target/contracts");
    let installed = Command::new(source("install.sh")).arg(&tools).status();
    assert!(installed.expect("install.sh runs").success(), "the tools can't be installed");
    tools
});

/// The directory of the installed tools.
///
/// # Panics
/// They can't be installed.
pub fn tools() -> &'static Path {
    &TOOLS
}

/// A file of `tests/contracts`.
pub fn source(name: impl AsRef<Path>) -> PathBuf {
    workspace().join("tests/contracts").join(name)
}

/// A script in the tools' Python. The path is relative to `tests/contracts`.
pub fn python(script: impl AsRef<Path>) -> Command {
    let mut command = Command::new(tools().join("python/bin/python"));
    command.arg(source(script));
    command
}

/// Runs a tool to its end, with `input` as its stdin. Returns what it prints.
///
/// # Panics
/// It fails.
pub fn output(command: &mut Command, input: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("REDOCLY_TELEMETRY", "off").env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
    let mut child = command.spawn().expect("the tool starts");
    let (mut stdin, input) = (child.stdin.take().expect("stdin"), input.to_owned());
    // A thread of its own: the tool may print before it has read everything. It may also stop reading.
    let writer = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().expect("the tool ends");
    writer.join().expect("the writer");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}
