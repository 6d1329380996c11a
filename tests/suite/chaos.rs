//! A short chaos run on its own stack: every window is hit, and some random faults.

use std::time::UNIX_EPOCH;
use tests::{
    Stack,
    chaos::{Options, run},
    scratch,
};

/// All windows, each with the restart before it, and eight more faults.
const FAULTS: usize = 22;

pub async fn every_window_is_hit_and_nothing_is_lost() {
    let seed = u64::from(UNIX_EPOCH.elapsed().unwrap().subsec_micros());
    let start = || &*Box::leak(Box::new(Stack::start(&scratch("chaos"))));
    let stack: &'static Stack = tokio::task::spawn_blocking(start).await.unwrap();
    let report = run(stack, Options { seed, faults: FAULTS }, |line| eprintln!("{line}")).await;
    stack.stop().unwrap();
    assert!(report.is_clean(), "{report}");
}
