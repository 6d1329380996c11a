//! Ctrl-C reaches this process alone, also when it is one of `make`'s.

use nix::{
    sys::signal::{SigSet, Signal},
    unistd::{Pid, getpgrp, getpid, setpgid, tcgetpgrp, tcsetpgrp},
};
use std::io::stdin;
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

/// The terminal is ours; dropped, it goes back to those who had it.
pub(crate) struct Foreground {
    former: Pid,
    /// Ctrl-Z would stop this process, and no shell would know: the job that the shell has is `make`.
    _no_stop: Option<Listener>,
}

/// Takes the terminal from the process group that this process shares with others; `make` would die of the same Ctrl-C and make a failure
/// of a clean end. A process that a shell started by itself has a group of its own already.
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

/// A process in the background that does this is stopped, unless it has blocked the signal.
fn give_to(group: Pid) {
    let stop: SigSet = [Signal::SIGTTOU].into_iter().collect();
    let _ = stop.thread_block();
    let _ = tcsetpgrp(stdin(), group);
    let _ = stop.thread_unblock();
}
