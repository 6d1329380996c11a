//! Makes Ctrl-C reach only this process, even when `make` started it.

use nix::{
    sys::signal::{SigSet, Signal},
    unistd::{Pid, getpgrp, getpid, setpgid, tcgetpgrp, tcsetpgrp},
};
use std::io::stdin;
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

/// This process owns the terminal until this is dropped.
pub(crate) struct Foreground {
    former: Pid,
    /// Ignores Ctrl-Z: it would stop this process, but the shell's job is `make`, so the shell would not
    /// notice.
    _no_stop: Option<Listener>,
}

/// Takes the terminal from the process group that this process shares with `make`. Otherwise Ctrl-C would
/// also kill `make`, which would report a clean stop as a failure. A process that a shell starts directly
/// already has its own group.
pub(crate) fn take() -> Option<Foreground> {
    let former = getpgrp();
    if former == getpid() || tcgetpgrp(stdin()) != Ok(former) {
        return None;
    }
    setpgid(Pid::from_raw(0), Pid::from_raw(0)).ok()?;
    give_to(getpid());
    Some(Foreground { former, _no_stop: signal(SignalKind::from_raw(Signal::SIGTSTP as i32)).ok() })
}

impl Drop for Foreground {
    fn drop(&mut self) {
        give_to(self.former);
    }
}

/// The kernel stops a background process that does this, unless the process blocks SIGTTOU.
fn give_to(group: Pid) {
    let stop: SigSet = [Signal::SIGTTOU].into_iter().collect();
    let _ = stop.thread_block();
    let _ = tcsetpgrp(stdin(), group);
    let _ = stop.thread_unblock();
}
