//! Requests that a fuzzer makes of the OpenAPI document. Few here; `make fuzz` sends many.

use std::process::Command;
use tests::{
    Stack,
    contracts::{output, source},
};

/// The random requests for each operation, and the seed from which they are made.
const RUN: [&str; 2] = ["10", "1"];

/// No answer is a 5xx, and the document describes each one.
pub async fn a_fuzzer_gets_only_described_answers(stack: &'static Stack) {
    let mut fuzzer = Command::new(source("fuzz.sh"));
    let token = stack.tenant().token.unwrap();
    let said = output(fuzzer.args(RUN).env("ROLLCALL_URL", stack.url()).env("TOKEN", token), "");
    assert!(said.contains(" generated, ") && !said.contains(" 0 passed"), "{said}");
}
