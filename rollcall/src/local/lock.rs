//! One `rollcall run` at a time in one `$ROLLCALL_HOME`.

use super::home::Home;
use anyhow::Context;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
};

/// Held as long as the file is open, so never longer than the process lives.
pub(crate) struct Lock(#[expect(dead_code, reason = "open is all that it has to be")] File);

/// Takes the lock, or says who has it.
pub(crate) fn take(home: &Home) -> anyhow::Result<Lock> {
    let path = home.join("lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("can't open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(taken(home, &mut file)),
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("can't lock {}", path.display()));
        }
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(Lock(file))
}

fn taken(home: &Home, file: &mut File) -> anyhow::Error {
    let mut pid = String::new();
    let _ = file.read_to_string(&mut pid);
    let pid = pid.trim();
    anyhow::anyhow!(
        "already running in {} as process {pid}: stop that one (`kill {pid}`), or give this one a home of its own (ROLLCALL_HOME)",
        home.path().display()
    )
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
