//! Child processes that never outlive this process, however it ends.

use anyhow::Context;
use nix::unistd::{Gid, Uid};
use std::{fs::File, path::Path, process::Stdio};
use tokio::process::Command;

/// The account of a child that runs as another user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
}

/// The signal that a child gets when this process dies.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DeathSignal {
    /// SIGKILL.
    Kill,
    /// SIGQUIT: PostgreSQL's immediate shutdown, in which the server also ends its own children.
    Quit,
}

/// A command whose process gets the signal when the thread that starts it ends. It must be started on the
/// main thread.
///
/// `setpriv` requests the signal after it has changed the user, because changing the user clears it. If
/// this process died before that, the shell sees that it has another parent, and exits.
pub(crate) fn command(program: &Path, death_signal: DeathSignal, account: Option<Account>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", if matches!(death_signal, DeathSignal::Kill) { "KILL" } else { "QUIT" }]);
    if let Some(Account { uid, gid }) = account {
        command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]);
    }
    command
        .args(["--", "sh", "-c", r#"[ "$PPID" = "$0" ] && exec "$@""#])
        .arg(std::process::id().to_string());
    // A fixed language, encoding and time zone, whatever the shell's are. The encoding must be UTF-8,
    // because a home may have any name.
    command.env("LC_ALL", "C.UTF-8").env_remove("LANGUAGE").env("TZ", "UTC");
    // Its own process group, so that the terminal's Ctrl-C reaches only this process. The root directory,
    // because the other user may not be able to enter ours.
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
    anyhow::ensure!(status.success(), "{what}: {status}; see {}", log_path.display());
    Ok(())
}
