//! Runs the programs, as an operator does.

use crate::{Process, Service, programs::program};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// Prefixes of variables that a developer's shell may have, but tests must not.
const FOREIGN: [&str; 4] = ["DATABASE_URL", "REDIS_URL", "KAFKA_BROKERS", "FAILPOINTS"];

/// A program with only the given settings.
pub(crate) fn command(name: &str, settings: &BTreeMap<String, String>) -> Command {
    with_only(Command::new(program(name)), settings)
}

/// A command that gets no other settings from the environment.
pub(crate) fn with_only(mut command: Command, settings: &BTreeMap<String, String>) -> Command {
    for (name, _) in std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))) {
        if name.starts_with("ROLLCALL_") || FOREIGN.iter().any(|foreign| name.starts_with(foreign)) {
            command.env_remove(name);
        }
    }
    command.envs(settings);
    command
}

/// `rollcall` with its settings.
#[derive(Clone)]
pub struct Cli {
    settings: BTreeMap<String, String>,
}

/// The output of a run.
#[derive(Debug)]
pub struct Output {
    /// The exit code. `None` if a signal ended the process.
    pub code: Option<i32>,
    /// stdout.
    pub stdout: String,
    /// stderr.
    pub stderr: String,
}

impl Cli {
    /// For the stack in `home`, with no other settings.
    pub fn beside(home: &Path) -> Self {
        Self::with([("ROLLCALL_HOME".to_owned(), home.display().to_string())].into())
    }

    /// With exactly these settings.
    pub fn with(settings: BTreeMap<String, String>) -> Self {
        Self { settings }
    }

    /// The same with one more setting.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// One of the settings.
    ///
    /// # Panics
    /// It is not set.
    pub fn setting(&self, name: &str) -> &str {
        &self.settings[name]
    }

    /// Runs a verb to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, "")
    }

    /// Starts a verb without waiting for it. Its output is appended to `log`.
    pub fn start(&self, args: &[&str], log: &Path) -> Process {
        let mut command = command("rollcall", &self.settings);
        command.args(args);
        Process::start(&command, log)
    }

    /// Runs a verb to its end with a closed stdout.
    ///
    /// # Panics
    /// It can't be run.
    pub fn run_unread(&self, args: &[&str]) -> Output {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = command("rollcall", &self.settings);
        command.args(args).stdin(Stdio::null()).stdout(writer);
        let output = command.output().expect("rollcall runs");
        let stderr = String::from_utf8(output.stderr).expect("output is UTF-8");
        Output { code: output.status.code(), stdout: String::new(), stderr }
    }

    /// Runs a verb to its end, with `stdin`.
    ///
    /// # Panics
    /// It can't be run.
    pub fn run_with(&self, args: &[&str], stdin: &str) -> Output {
        run(command("rollcall", &self.settings), args, stdin)
    }
}

/// Runs a service to its end, with arguments and without settings.
///
/// # Panics
/// It can't be run.
pub fn run_service(service: Service, args: &[&str]) -> Output {
    run(command(service.program(), &BTreeMap::new()), args, "")
}

fn run(mut command: Command, args: &[&str], stdin: &str) -> Output {
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    let mut pipe = child.stdin.take().expect("stdin is a pipe");
    let text = stdin.to_owned();
    // On its own thread, because a verb may print before it has read everything, or read nothing.
    let feeding = std::thread::spawn(move || {
        let _ = pipe.write_all(text.as_bytes());
    });
    let output = child.wait_with_output().expect("the program ends");
    feeding.join().expect("stdin was fed");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Output {
    /// Asserts the exit code.
    ///
    /// # Panics
    /// The exit code is another one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// The JSON result.
    ///
    /// # Panics
    /// There is no item.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Its JSON lines.
    ///
    /// # Panics
    /// A line is not JSON.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(read).collect()
    }
}
