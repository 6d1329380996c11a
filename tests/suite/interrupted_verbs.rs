//! A verb that is interrupted says what it leaves, and what it says is true.

use super::generations::{hold_back, listed, run};
use nix::sys::signal::Signal;
use tests::{Deployment, Process, Stack, scratch, until};

pub async fn a_rebuild_that_is_interrupted_can_be_resumed(stack: &'static Stack) {
    let deployment = Deployment::start(stack, stack.var("REDIS_URL")).await;
    // The rebuild waits here, until it is interrupted.
    let waiting = hold_back(&deployment.database, 2).await;
    let mut rebuild = start(&deployment, &["projection", "rebuild"]);
    until("generation 2 is begun", async || listed(&deployment.cli, 2).await.map(drop)).await;
    interrupt(&mut rebuild, Signal::SIGINT, 130, "--resume` goes on");
    let mut resumed = start(&deployment, &["projection", "rebuild", "--resume"]);
    until("the rebuild is resumed", async || {
        listed(&deployment.cli, 2).await.filter(|listed| listed["abandoned"] == false).map(drop)
    })
    .await;
    interrupt(&mut resumed, Signal::SIGTERM, 143, "`rollcall projection list` shows its state");
    drop(waiting);
    run(&deployment.cli, &["projection", "rebuild", "--resume"], 0).await;
}

fn start(deployment: &Deployment, args: &[&str]) -> Process {
    deployment.cli.start(args, &scratch("interrupted").join("log"))
}

#[track_caller]
fn interrupt(verb: &mut Process, signal: Signal, code: i32, next: &str) {
    verb.signal(signal);
    let (status, said) = (verb.wait(), verb.output());
    assert_eq!(status.code(), Some(code), "{said}");
    assert!(said.starts_with("rollcall: interrupted: ") && said.contains(next), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}
