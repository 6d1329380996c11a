//! Allows only one `rollcall run` in each `$ROLLCALL_HOME`.

use super::{home::Home, progress::say};
use anyhow::Context;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::signal::kill,
    unistd::Pid,
};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
};

/// The lock is held as long as the file is open. The children inherit the file, so the lock of a killed
/// process is held until its last child has ended, and two servers never use the same data.
pub(crate) struct Lock(#[expect(dead_code, reason = "only kept open")] File);

/// Takes the lock. The error names the process that holds it.
pub(crate) fn take(home: &Home) -> anyhow::Result<Lock> {
    let path = home.join("lock");
    let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = open.with_context(|| format!("can't open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => wait_for_children(home, &mut file)?,
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("can't lock {}", path.display()));
        }
    }
    fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty()))?;
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(Lock(file))
}

/// Fails if the holder lives. If it was killed, waits until its children have ended.
fn wait_for_children(home: &Home, file: &mut File) -> anyhow::Result<()> {
    let mut pid = String::new();
    file.read_to_string(&mut pid)?;
    let pid = pid.trim();
    anyhow::ensure!(
        is_dead(pid),
        "already running in {} as process {pid}: stop that process (`kill {pid}`), or set ROLLCALL_HOME to another directory",
        home.path().display()
    );
    say(format_args!("waiting for the children of the killed process {pid} to end"));
    Ok(file.lock()?)
}

fn is_dead(pid: &str) -> bool {
    pid.parse().is_ok_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_holder() {
        let path = std::env::temp_dir().join(format!("rollcall-lock-{}", std::process::id()));
        let home = Home::create(&path).unwrap();
        let first = take(&home).unwrap();
        let second = take(&home).err().unwrap().to_string();
        assert!(second.contains(&format!("as process {}:", std::process::id())), "{second}");
        drop(first);
        assert!(take(&home).is_ok());
        std::fs::remove_dir_all(path).unwrap();
    }
}
