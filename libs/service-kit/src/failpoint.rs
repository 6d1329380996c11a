//! Points in the code at which a test build can be told to die, or to go another way. A release build has none: there, every function
//! here is empty.
//!
//! A test build (feature `failpoints`) reads the variable `FAILPOINTS`, as the `fail` crate writes it: `fold.marked=37*off->return` lets
//! the point be passed 37 times and strikes at the next.

#[cfg(feature = "failpoints")]
mod active {
    use std::{io::Write as _, process::abort, thread, time::Duration};

    /// Takes the points that `FAILPOINTS` names.
    ///
    /// # Panics
    /// It can't be read.
    pub fn start() {
        // For as long as the process lives.
        std::mem::forget(fail::FailScenario::setup());
    }

    /// Whether the point is to strike now.
    pub fn is_on(name: &'static str) -> bool {
        fail::eval(name, |_| ()).is_some()
    }

    /// Dies here, as suddenly as by kill -9, if the point is to strike now.
    pub fn hit(name: &'static str) {
        if is_on(name) {
            die(name);
        }
    }

    /// Dies up to a millisecond from here: while what is begun now is on its way.
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
        // Nothing can be done about a stderr that is gone.
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
