//! Which processes belong to a home, by what the kernel says of them.

use std::{fs, path::Path};

/// The ids of living processes that have `home` in their command line, their environment or their working directory.
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
    // A zombie has neither command line nor memory: it waits for its parent alone.
    let alive = fs::read(of("cmdline")).is_ok_and(|line| !line.is_empty());
    alive && (mentions("cmdline") || mentions("environ") || works_in())
}
