//! Finds the processes that belong to a home.

use std::{fs, path::Path};

/// The ids of running processes with `home` in their command line, environment or working
/// directory.
pub fn processes_of(home: &Path) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != std::process::id() && belongs(*pid, home)).collect()
}

fn belongs(pid: u32, home: &Path) -> bool {
    let of = |name: &str| format!("/proc/{pid}/{name}");
    let mentions = |name: &str| {
        let bytes = fs::read(of(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains(&*home.to_string_lossy())
    };
    let works_in = || fs::read_link(of("cwd")).is_ok_and(|cwd| cwd.starts_with(home));
    // A zombie has no command line. It only waits for its parent.
    let alive = fs::read(of("cmdline")).is_ok_and(|line| !line.is_empty());
    alive && (mentions("cmdline") || mentions("environ") || works_in())
}
