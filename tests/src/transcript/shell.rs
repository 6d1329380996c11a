//! A shell as an operator has one: it keeps variables and functions from command to command.

use crate::{cli::with_only, programs::program};
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Printed after each command.
const END: &str = "-- the command has ended --";

/// The shell. It is killed when this is dropped.
pub struct Shell {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Shell {
    /// Starts one in a directory with these variables. The programs of the tests are found by name.
    ///
    /// # Panics
    /// There is no bash.
    pub fn start(dir: &Path, variables: &BTreeMap<String, String>) -> Self {
        let programs = program("rollcall").parent().expect("a folder").to_owned();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = with_only(Command::new("bash"), variables);
        command.args(["--noprofile", "--norc"]).current_dir(dir).env("PATH", path);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("bash");
        let (stdin, stdout) = (child.stdin.take().expect("stdin"), child.stdout.take().expect("stdout"));
        Self { child, stdin, stdout: BufReader::new(stdout) }
    }

    /// Runs a command. Returns what it prints, on stdout and stderr.
    ///
    /// # Panics
    /// The shell has ended.
    pub async fn run(&mut self, command: &str) -> String {
        // A grouping with braces, and not with parentheses, so that variables stay.
        write!(self.stdin, "{{ {command}\n}} </dev/null 2>&1; echo; echo '{END}'\n")
            .expect("the shell lives");
        self.stdin.flush().expect("the shell lives");
        tokio::task::block_in_place(|| self.read())
    }

    fn read(&mut self) -> String {
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            let length = self.stdout.read_line(&mut line).expect("the shell prints text");
            assert!(length > 0, "the shell has ended after: {printed}");
            if line.trim_end() == END {
                return printed;
            }
            printed.push_str(&line);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // These fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
