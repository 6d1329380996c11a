//! Records a golden log of this build: `golden 2026-11-30`. See docs/design/testing.md.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a program of the tests")]

use std::process::ExitCode;
use tests::{Stack, golden::record, remove_scratch, scratch};

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        println!("usage: golden NAME, where NAME is the day, such as 2026-11-30");
        return ExitCode::from(2);
    };
    // It is stopped explicitly below, not when it is dropped.
    let stack: &'static Stack = Box::leak(Box::new(Stack::start(&scratch("golden"))));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(record(stack, &name));
    if let Err(wrong) = stack.stop() {
        println!("{wrong}");
        return ExitCode::FAILURE;
    }
    remove_scratch();
    println!("tests/fixtures/golden/{name}");
    ExitCode::SUCCESS
}
