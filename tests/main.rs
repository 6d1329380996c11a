//! The integration tests, in one program. It builds the services, starts one stack, runs the tests
//! against it, stops it, and fails if processes are left over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]
#![allow(unreachable_pub, reason = "the list in `suite` names every test")]

mod suite;

use libtest_mimic::Arguments;
use std::process::ExitCode;
use tests::{Stack, remove_scratch, slowest};

/// The default number of parallel tests. The stack needs CPU too, and the machine may be small.
const THREADS: usize = 4;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let conclusion = libtest_mimic::run(&arguments, suite::trials());
    eprint!("{}", slowest());
    match Stack::if_started().map_or(Ok(()), stop) {
        // The files of a failed run are kept for debugging.
        Ok(()) if conclusion.has_failed() => conclusion.exit_code(),
        Ok(()) => {
            remove_scratch();
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            eprintln!("{wrong}");
            ExitCode::FAILURE
        }
    }
}

/// The tests leave many databases behind. Flushing them can take longer than PostgreSQL may take to
/// stop, so a checkpoint is made first.
fn stop(stack: &Stack) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(stack.checkpoint());
    stack.stop()
}
