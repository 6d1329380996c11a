//! The run: load, faults, check.

use super::{
    check::Evidence,
    faults::{Victims, eventually, instances},
    history::History,
    load::{Load, Targets},
    plan::{Fault, INSTANCES, Step, plan},
    probe::Probe,
    recovery::{Over, Recovery},
    report::Report,
    windows::WINDOWS,
};
use crate::{Deployment, Service, Stack, stack::new_tenant};
use std::{collections::BTreeMap, fs, time::Instant};
use tokio::time::sleep_until;

/// The number of partitions: two for each projector.
const PARTITIONS: usize = 4;

/// The options of a run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Determines the plan and the clients' requests.
    pub seed: u64,
    /// The minimum number of faults.
    pub faults: usize,
}

/// Runs a load under faults on a new deployment on the stack, and checks the result. Progress is
/// passed to `say`.
///
/// # Panics
/// It can't be started, or a part does not stop regularly.
pub async fn run(stack: &'static Stack, options: Options, say: impl Fn(&str)) -> Report {
    let partitions = PARTITIONS.to_string();
    let settings = [("ROLLCALL_PARTITIONS", partitions.as_str())];
    let deployment = Deployment::start_many(stack, stack.var("REDIS_URL"), INSTANCES, &settings).await;
    let tenant = new_tenant();
    let probe = Probe::prepare(&deployment, &stack.token(&tenant), &tenant, PARTITIONS).await;
    let load = Load::start(targets(&deployment, stack), options.seed);
    let mut run = Run {
        victims: Victims { deployment, stack, surprises: Vec::new() },
        probe,
        load,
        faults: BTreeMap::new(),
        over: Vec::new(),
    };
    run.all(&plan(options.seed, options.faults), &say).await;
    run.finish(options, &say).await
}

fn targets(deployment: &Deployment, stack: &Stack) -> Targets {
    let tenant = new_tenant();
    let token = stack.token(&tenant);
    let (command, query) = (deployment.urls(Service::Command), deployment.urls(Service::Query));
    Targets { command, query, tenant, token }
}

struct Run {
    victims: Victims,
    probe: Probe,
    load: Load,
    faults: BTreeMap<String, usize>,
    over: Vec<Over>,
}

impl Run {
    async fn all(&mut self, steps: &[Step], say: &impl Fn(&str)) {
        let began = Instant::now();
        for step in steps {
            let over = self.strike(step).await;
            let goes_on = self.goes_on(step.is_patient).await;
            let whole = step.is_patient.then(|| over.elapsed());
            self.victims.look_after();
            let faults: Vec<_> = step.faults.iter().map(ToString::to_string).collect();
            let (time, count) = (began.elapsed().as_secs(), self.faults.values().sum::<usize>());
            let waited = whole.map(|time| format!("  {:.2} s", time.as_secs_f64())).unwrap_or_default();
            say(&format!("{time:>4} s  {count:>3}  {}{waited}", faults.join(" + ")));
            if !goes_on {
                self.victims.surprises.push(format!("nothing goes on after {}", faults.join(" + ")));
                return;
            }
            self.over.push(Over { kind: kind(step), at: over, whole });
        }
    }

    /// Executes a step. Returns the time at which it was over.
    async fn strike(&mut self, step: &Step) -> Instant {
        self.victims.strike(&step.faults).await;
        for kind in step.faults.iter().flat_map(Fault::kinds) {
            *self.faults.entry(kind).or_default() += 1;
        }
        let began = Instant::now();
        let mut over = began;
        let mut lasting: Vec<_> = step.faults.iter().filter(|fault| fault.is_ended()).collect();
        // An abort may have to wait for the end of a freeze.
        lasting.sort_by_key(|fault| (fault.lasts().is_zero(), fault.lasts()));
        for fault in lasting {
            sleep_until((began + fault.lasts()).into()).await;
            self.victims.relent(*fault).await;
            over = Instant::now();
        }
        over
    }

    /// Waits until the load, or everything, goes on. Returns false if that never happens.
    async fn goes_on(&self, is_patient: bool) -> bool {
        let (acked, reads) = (self.load.acked(), self.load.reads());
        let load = eventually(async || self.load.acked() > acked && self.load.reads() > reads);
        let all = async { !is_patient || self.probe.works().await };
        let (load, all) = tokio::join!(load, all);
        load.is_some() && all
    }

    /// Waits until everything is at rest, and collects the evidence.
    async fn finish(mut self, options: Options, say: &impl Fn(&str)) -> Report {
        self.victims.ready().await;
        let (acked, reads) = (self.load.acked(), self.load.reads());
        say(&format!("the load ends: {acked} writes and {reads} reads were answered with success"));
        let history = self.load.stop().await;
        let recoveries = recoveries(&self.over, &history);
        let evidence = Evidence::gather(&self.victims.deployment, history).await;
        let logs = self.victims.deployment.log_path(Service::Projector, 0);
        Report {
            seed: options.seed,
            faults: self.faults,
            hits: hits(&self.victims.deployment),
            recoveries,
            surprises: self.victims.surprises,
            verdict: evidence.verdict(),
            logs: logs.parent().expect("a log is in a directory").to_owned(),
        }
    }
}

/// The recovery times after each fault, by kind.
fn recoveries(over: &[Over], history: &History) -> BTreeMap<String, Vec<Recovery>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for step in over {
        all.entry(step.kind.clone()).or_default().push(step.recovery(history));
    }
    all
}

/// How often each window was hit, from the logs of the processes.
fn hits(deployment: &Deployment) -> Vec<usize> {
    let log = |(service, n)| fs::read(deployment.log_path(service, n)).unwrap_or_default();
    let printed: Vec<_> = instances().map(|one| String::from_utf8_lossy(&log(one)).into_owned()).collect();
    let of = |window: &super::windows::Window| printed.iter().map(|output| window.hits(output)).sum();
    WINDOWS.iter().map(of).collect()
}

fn kind(step: &Step) -> String {
    match &step.faults[..] {
        [one] => one.kind(),
        _ => "two at once".to_owned(),
    }
}
