//! The name of this process, to tell it from others that share the work.

use std::{fs, sync::LazyLock};

static NAME: LazyLock<String> = LazyLock::new(|| format!("{}/{}", host(), std::process::id()));

/// `<host>/<process id>`, for operators. Nothing depends on it.
pub fn name() -> &'static str {
    &NAME
}

fn host() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => "unknown".to_owned(),
        host => host.to_owned(),
    }
}
