//! The children of `rollcall run` are restarted when they die, and never outlive it.

use serde_json::json;
use std::fs;
use tests::{Process, Stack, processes_of, scratch, until};

/// The children of a process by name.
fn child(parent: u32, name: &str) -> Option<u32> {
    let all = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let Some((head, tail)) = stat.rsplit_once(')') else { return false };
        head.contains(name) && tail.split_whitespace().nth(1) == Some(&parent.to_string())
    })
}

fn kill(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

async fn works(stack: &Stack) {
    let api = stack.tenant();
    let id = until("a write is accepted", async || {
        let answer = api.create(json!({ "claims": { "a": 1 } })).attempt().await.ok()?;
        (answer.status == 201).then(|| answer.id())
    })
    .await;
    until("it is read", async || (api.get(&id).attempt().await.ok()?.status == 200).then_some(())).await;
}

/// Kills a child by name, and waits until it is restarted and the service works.
async fn comes_back(stack: &Stack, name: &str) {
    let before = child(stack.pid(), name).unwrap_or_else(|| panic!("no child {name}"));
    kill(before);
    until(&format!("{name} is started again"), async || {
        child(stack.pid(), name).filter(|pid| *pid != before)
    })
    .await;
    works(stack).await;
}

pub async fn children_come_back_and_die_with_their_parent() {
    let home = scratch("supervised");
    let stack = start(&home).await;
    works(&stack).await;
    for name in ["redis", "java", "postgres"] {
        comes_back(&stack, name).await;
    }
    stack.kill();
    until("no child outlives a kill -9", async || processes_of(&home).is_empty().then_some(())).await;

    // The data is kept: a start after the crash has every acknowledged user.
    let again = start(&home).await;
    works(&again).await;
    again.stop().unwrap();
    let mut second: Process = Stack::launch(&home);
    until("it can be stopped while it starts", async || {
        second.output().contains("ready: http").then_some(())
    })
    .await;
    assert_eq!(second.stop().code(), Some(0));
    assert_eq!(processes_of(&home), Vec::<u32>::new());
}

async fn start(home: &std::path::Path) -> Stack {
    let home = home.to_owned();
    tokio::task::spawn_blocking(move || Stack::start(&home)).await.unwrap()
}
