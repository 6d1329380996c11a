//! Points in the code at which a test build can be told to crash or take another branch. In a
//! release build every function here is empty.
//!
//! A test build (feature `failpoints`) reads the variable `FAILPOINTS` in the syntax of the `fail`
//! crate: `fold.marked=37*off->return` passes the point 37 times and triggers at the next.

#[cfg(feature = "failpoints")]
mod active {
    use std::{io::Write as _, process::abort, thread, time::Duration};

    /// Activates the points that `FAILPOINTS` names.
    ///
    /// # Panics
    /// The variable is invalid.
    pub fn start() {
        // Kept for the lifetime of the process.
        std::mem::forget(fail::FailScenario::setup());
    }

    /// Whether the point triggers now.
    pub fn is_on(name: &'static str) -> bool {
        fail::eval(name, |_| ()).is_some()
    }

    /// Aborts the process, as abruptly as kill -9, if the point triggers.
    pub fn hit(name: &'static str) {
        if is_on(name) {
            die(name);
        }
    }

    /// Aborts the process within a millisecond if the point triggers, while the next operation is
    /// in flight.
    pub fn hit_soon(name: &'static str) {
        if is_on(name) {
            thread::spawn(move || {
                let nanos = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos();
                thread::sleep(Duration::from_micros(u64::from(nanos / 1_000 % 1_000)));
                die(name)
            });
        }
    }

    fn die(name: &str) -> ! {
        // If stderr is closed, nothing can be done.
        let _ = writeln!(std::io::stderr(), "fault point {name}");
        abort()
    }
}

#[cfg(not(feature = "failpoints"))]
mod active {
    /// Does nothing.
    #[inline]
    pub fn start() {}

    /// Never.
    #[inline]
    #[must_use]
    pub fn is_on(_name: &'static str) -> bool {
        false
    }

    /// Does nothing.
    #[inline]
    pub fn hit(_name: &'static str) {}

    /// Does nothing.
    #[inline]
    pub fn hit_soon(_name: &'static str) {}
}

pub use active::{hit, hit_soon, is_on, start};
