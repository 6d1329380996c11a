//! Processes that never outlive this one, however it ends.

use anyhow::Context;
use nix::unistd::{Gid, Uid};
use std::{fs::File, path::Path, process::Stdio};
use tokio::process::Command;

/// Whom a process runs as, where that is not who we are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
}

/// What a process gets when this one dies.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LastWord {
    /// Gone at once.
    Kill,
    /// PostgreSQL's immediate shutdown, in which the server ends its own children too.
    Quit,
}

/// A command whose process gets the signal when the thread that starts it ends, which must therefore be the main one.
///
/// `setpriv` asks the kernel for the signal after it has changed the user, because that change would forget it. If this process died
/// before the kernel was asked, the shell sees that its parent is another, and goes no further.
pub(crate) fn command(program: &Path, last_word: LastWord, account: Option<Account>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", if matches!(last_word, LastWord::Kill) { "KILL" } else { "QUIT" }]);
    if let Some(Account { uid, gid }) = account {
        command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]);
    }
    command
        .args(["--", "sh", "-c", r#"[ "$PPID" = "$0" ] && exec "$@""#])
        .arg(std::process::id().to_string());
    // The same language, encoding and time everywhere, whatever the shell's are: a home may have any name.
    command.env("LC_ALL", "C.UTF-8").env_remove("LANGUAGE").env("TZ", "UTC");
    // A group of its own: the terminal's Ctrl-C is for us. The root directory: ours may be closed to that user.
    command.arg(program).current_dir("/").process_group(0).stdin(Stdio::null());
    command
}

/// Runs a command to its end, with its output in a log.
pub(crate) async fn finish(
    mut command: Command,
    what: &str,
    log: File,
    log_path: &Path,
) -> anyhow::Result<()> {
    let mut process = command
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{what}: can't be started"))?;
    let status = process.wait().await?;
    anyhow::ensure!(status.success(), "{what}: {status}; {} says why", log_path.display());
    Ok(())
}
