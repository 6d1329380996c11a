//! Transcripts in the documentation that tests replay. The commands are those of the document, and
//! what they print must be what the document shows.
//!
//! A code block belongs to a transcript if the line `<!-- replayed: NAME -->` is before it. Several
//! blocks of one name are one transcript. In a block, `$ …` is a command, `# …` is something that
//! happens, which the test does, and all other lines are the output of the command before.

mod compare;
mod parse;
mod shell;

pub use shell::Shell;

use crate::workspace;
use compare::{difference, is_alike};
use parse::{Command, Step, steps, updated};
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// With this variable, the document gets what the commands print.
const UPDATE: &str = "UPDATE_TRANSCRIPTS";
/// How long a command that only looks may show something else first.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same when the document is updated, and nobody knows yet what will be shown.
const SETTLE: Duration = Duration::from_secs(8);

/// The document with the transcripts.
fn document() -> PathBuf {
    workspace().join("docs/operate.md")
}

/// Replays the transcript of that name. `happens` does what a `# …` line says.
///
/// # Panics
/// There is no such transcript, or a command prints something else than the document shows.
pub async fn replay(name: &str, shell: &mut Shell, mut happens: impl AsyncFnMut(&str)) {
    let count = read(name).len();
    assert!(count > 0, "there is no transcript {name}");
    for n in 0..count {
        // Read again, because an update moves lines.
        match read(name).swap_remove(n) {
            Step::Happens(what) => happens(&what).await,
            Step::Command(command) => prints(shell, &command).await,
        }
    }
}

fn read(name: &str) -> Vec<Step> {
    steps(&fs::read_to_string(document()).expect("the document"), name)
}

async fn prints(shell: &mut Shell, command: &Command) {
    let Command { text, shown, .. } = command;
    let is_update = std::env::var_os(UPDATE).is_some();
    let give_up = Instant::now() + if is_update { SETTLE } else { PATIENCE };
    let mut printed = shell.run(text).await;
    while !is_alike(shown, &printed) && looks_only(text) && Instant::now() < give_up {
        tokio::time::sleep(Duration::from_millis(200)).await;
        printed = shell.run(text).await;
    }
    if is_alike(shown, &printed) {
        return;
    }
    assert!(is_update, "{}", difference(text, shown, &printed));
    let before = fs::read_to_string(document()).expect("the document");
    fs::write(document(), updated(&before, command, &printed)).expect("the document");
}

/// Whether a command changes nothing. What it looks at may take a while to become so.
fn looks_only(command: &str) -> bool {
    const LOOKS: [&str; 6] = [
        "curl -s $URL/health/ready",
        "rollcall projection status",
        "rollcall projection list",
        "rollcall dead-letters list",
        "rollcall keys status",
        "api $URL",
    ];
    let sends = [" -d ", " -X "].iter().any(|option| command.contains(option));
    LOOKS.iter().any(|look| command.starts_with(look)) && !sends
}
