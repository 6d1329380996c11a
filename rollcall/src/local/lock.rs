//! One `rollcall run` at a time in one `$ROLLCALL_HOME`.

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

/// Held as long as the file is open, which it is in the children too: so the lock of a process that was killed is held until the last of
/// its children is gone, and two of them never work on the same data.
pub(crate) struct Lock(#[expect(dead_code, reason = "open is all that it has to be")] File);

/// Takes the lock, or says who has it.
pub(crate) fn take(home: &Home) -> anyhow::Result<Lock> {
    let path = home.join("lock");
    let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = open.with_context(|| format!("can't open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => wait_for_the_dead(home, &mut file)?,
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

/// A holder that lives is named; the children of one that was killed are about to end.
fn wait_for_the_dead(home: &Home, file: &mut File) -> anyhow::Result<()> {
    let mut pid = String::new();
    file.read_to_string(&mut pid)?;
    let pid = pid.trim();
    anyhow::ensure!(
        is_dead(pid),
        "already running in {} as process {pid}: stop that one (`kill {pid}`), or give this one a home of its own (ROLLCALL_HOME)",
        home.path().display()
    );
    say(format_args!("waiting for the children of process {pid}, which was killed, to end"));
    Ok(file.lock()?)
}

fn is_dead(pid: &str) -> bool {
    pid.parse().is_ok_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it() {
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
