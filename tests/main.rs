//! Every check on the wire, in one program: it builds what it runs, starts one stack, runs the tests against it, stops it,
//! and fails when something is left over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]
#![allow(unreachable_pub, reason = "the list in `suite` names every test")]

mod suite;

use libtest_mimic::Arguments;
use std::process::ExitCode;
use tests::{Stack, remove_scratch};

/// Tests at a time, when nothing is said: the stack works too, and the machine may be small.
const THREADS: usize = 3;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let conclusion = libtest_mimic::run(&arguments, suite::trials());
    match Stack::if_started().map_or(Ok(()), stop) {
        // The files of a run that failed are kept: they say why.
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

/// The tests leave many databases behind, whose files take a busy disk longer than PostgreSQL has to stop: so that is done before.
fn stop(stack: &Stack) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(stack.checkpoint());
    stack.stop()
}
