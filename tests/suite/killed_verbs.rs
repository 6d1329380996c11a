//! Each verb on generations runs while it, the projector or PostgreSQL is killed at a random
//! moment, beside readers and writers. Nothing that was acknowledged is lost, no read steps back,
//! and the same verb, run again, completes.

use super::{
    generations::{listed, run, summary},
    rebuild::{generation, populate},
};
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::UNIX_EPOCH,
};
use tests::{Api, Cli, Deployment, Server, Service, Stack, chaos::random::Random, fold, scratch, until};

const USERS: u32 = 200;
/// The longest time from the start of a verb to the kill, in milliseconds. Most verbs take less.
const LATEST_KILL: u64 = 1_200;

#[derive(Debug, Clone, Copy)]
enum Victim {
    Verb,
    Projector,
    Postgres,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Rebuild,
    Verify,
    Promote,
    Rollback,
}

const VICTIMS: [Victim; 3] = [Victim::Verb, Victim::Projector, Victim::Postgres];
/// Each leaves the state in which the next one can run.
const VERBS: [Verb; 4] = [Verb::Rebuild, Verb::Verify, Verb::Promote, Verb::Rollback];

pub async fn verbs_are_killed_and_run_again() {
    let seed = u64::from(UNIX_EPOCH.elapsed().unwrap().subsec_micros());
    eprintln!("seed {seed}");
    let start = || &*Box::leak(Box::new(Stack::start(&scratch("killed-verbs"))));
    let stack: &'static Stack = tokio::task::spawn_blocking(start).await.unwrap();
    let patient = [("ROLLCALL_VISIBILITY_TIMEOUT", "60s")];
    let mut deployment = Deployment::start_with(stack, stack.var("REDIS_URL"), &patient).await;
    let (quiet, busy) = (deployment.tenant(), deployment.tenant());
    populate(&deployment, &quiet, USERS).await;

    let stop = AtomicBool::new(false);
    let mut random = Random::new(seed);
    let kills = async {
        for victim in VICTIMS {
            let first = generation(&deployment.database).await;
            let mut built = 0;
            for verb in VERBS {
                let delay = random.millis(0, LATEST_KILL);
                eprintln!("{verb:?}: {victim:?} is killed after {} ms", delay.as_millis());
                let mut running =
                    deployment.cli.start(&verb.args(built, false), &scratch("verbs").join("log"));
                tokio::time::sleep(delay).await;
                match victim {
                    Victim::Verb => {
                        if running.ended().is_none() {
                            running.signal(nix::sys::signal::Signal::SIGKILL);
                        }
                    }
                    Victim::Projector => deployment.crash(Service::Projector).await,
                    Victim::Postgres => Server::Postgres.kill(stack),
                }
                until("the verb ends", async || running.ended()).await;
                Server::Postgres.answers(stack).await;
                deployment.ready(Service::Projector).await;
                built = complete(&deployment, verb, first, built).await;
            }
            run(&deployment.cli, &["projection", "drop", &built.to_string()], 0).await;
        }
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(kills, watch(&busy, &stop), watch(&busy, &stop));

    let report = summary(&deployment.cli, &["projection", "rebuild", "--promote", "--json"], 0).await;
    assert_eq!(report["verified"]["equal"], true, "{report}");
    let model = fold(&deployment.log().await);
    for api in [&quiet, &busy] {
        assert_eq!(api.all(100).await, model.page(&api.tenant));
    }
    drop(deployment);
    stack.stop().unwrap();
}

impl Verb {
    fn args(self, built: i32, is_resumed: bool) -> Vec<&'static str> {
        let number = built.to_string().leak();
        match self {
            Self::Rebuild if is_resumed => vec!["projection", "rebuild", "--resume"],
            Self::Rebuild => vec!["projection", "rebuild"],
            Self::Verify => vec!["projection", "verify", number],
            Self::Promote => vec!["projection", "promote", number],
            Self::Rollback => vec!["projection", "rollback"],
        }
    }
}

/// Runs a verb again unless it took effect. Returns the number of the generation that was built.
async fn complete(deployment: &Deployment, verb: Verb, first: i32, built: i32) -> i32 {
    let cli = &deployment.cli;
    let is_done = match verb {
        Verb::Rebuild => newest(cli).await.is_some_and(|newest| newest["state"] == "built"),
        Verb::Verify => false,
        Verb::Promote => generation(&deployment.database).await == built,
        Verb::Rollback => generation(&deployment.database).await == first,
    };
    if !is_done {
        let is_resumed = newest(cli).await.is_some_and(|newest| newest["abandoned"] == true);
        run(cli, &verb.args(built, is_resumed), 0).await;
    }
    let built = match newest(cli).await {
        Some(newest) if verb == Verb::Rebuild => {
            i32::try_from(newest["id"].as_i64().expect("a number")).expect("it is small")
        }
        _ => built,
    };
    let expected = match verb {
        Verb::Rebuild | Verb::Verify => ("live", "built"),
        Verb::Promote => ("retired", "live"),
        Verb::Rollback => ("live", "retired"),
    };
    let states = [listed(cli, first).await.expect("listed"), listed(cli, built).await.expect("listed")];
    assert_eq!(
        (&states[0]["state"], &states[1]["state"]),
        (&json!(expected.0), &json!(expected.1)),
        "{verb:?}"
    );
    built
}

/// The generation with the highest number.
async fn newest(cli: &Cli) -> Option<Value> {
    let lines = run(cli, &["projection", "list", "--json"], 0).await.json_lines();
    lines.into_iter().max_by_key(|generation| generation["id"].as_i64())
}

/// Writes and reads one user. A write that was acknowledged is seen by every later read.
async fn watch(api: &Api, stop: &AtomicBool) {
    let (id, mut seen) = (api.user(json!({ "n": 0 })).await, 1);
    for n in 1.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let written = api.update(&id, json!({ "claims": { "n": n } })).await;
        match written.status {
            200 => {
                assert!(written.version() > seen, "{} after {seen}", written.version());
                seen = written.version();
            }
            202 | 503 => {}
            _ => panic!("{written:?}"),
        }
        let read = api.get(&id).await;
        match read.status {
            200 => {
                assert!(read.version() >= seen, "a step back from {seen} to {}", read.version());
                seen = read.version();
            }
            503 => {}
            _ => panic!("{read:?}"),
        }
    }
}
