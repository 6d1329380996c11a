//! The run: load, faults, check.

use super::{
    check::Evidence,
    faults::{Victims, eventually, instances},
    load::{Load, Targets},
    plan::{INSTANCES, Step, plan},
    probe::Probe,
    report::{Recovery, Report},
    windows::WINDOWS,
};
use crate::{Deployment, Service, Stack, stack::new_tenant};
use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};
use tokio::time::sleep_until;

/// Of its topics; two for each instance of the projector.
const PARTITIONS: usize = 4;

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Decides the plan and what the clients do.
    pub seed: u64,
    /// So many faults at least.
    pub faults: usize,
}

/// Runs a load under faults on a deployment of its own on that stack, and checks what came of it. `say` hears how it goes.
///
/// # Panics
/// It can't be started, or a part that is to stop in good order does not.
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
        recoveries: BTreeMap::new(),
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
    recoveries: BTreeMap<String, Vec<Recovery>>,
}

impl Run {
    async fn all(&mut self, steps: &[Step], say: &impl Fn(&str)) {
        let began = Instant::now();
        for step in steps {
            let over = self.strike(step).await;
            let recovery = self.recovery(over, step.is_patient).await;
            self.victims.look_after();
            let faults: Vec<_> = step.faults.iter().map(ToString::to_string).collect();
            let (at, count) = (began.elapsed().as_secs(), self.faults.values().sum::<usize>());
            say(&format!("{at:>4} s  {count:>3}  {:<60} {}", faults.join(" + "), shown(recovery)));
            let Some(recovery) = recovery else {
                self.victims.surprises.push(format!("nothing goes on after {}", faults.join(" + ")));
                return;
            };
            self.recoveries.entry(kind(step)).or_default().push(recovery);
        }
    }

    /// Does what a step says; gives the time at which it was over.
    async fn strike(&mut self, step: &Step) -> Instant {
        let began = Instant::now();
        for fault in &step.faults {
            self.victims.strike(*fault).await;
            for kind in fault.kinds() {
                *self.faults.entry(kind).or_default() += 1;
            }
        }
        let mut over = Instant::now();
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

    /// Waits until the load goes on, or until everything does; nothing, if that never happens.
    async fn recovery(&self, over: Instant, is_patient: bool) -> Option<Recovery> {
        let (acked, reads) = (self.load.acked(), self.load.reads());
        let whole = async {
            let works = !is_patient || self.probe.works().await;
            works.then(|| is_patient.then(|| over.elapsed()))
        };
        let (write, read, whole) = tokio::join!(
            since(over, || self.load.acked() > acked),
            since(over, || self.load.reads() > reads),
            whole
        );
        Some(Recovery { write: write?, read: read?, whole: whole? })
    }

    /// Lets everything come to rest, and looks at what is there.
    async fn finish(mut self, options: Options, say: &impl Fn(&str)) -> Report {
        self.victims.ready().await;
        let (acked, reads) = (self.load.acked(), self.load.reads());
        say(&format!("the load ends: {acked} writes and {reads} reads were answered with success"));
        let history = self.load.stop().await;
        let evidence = Evidence::gather(&self.victims.deployment, history).await;
        let logs = self.victims.deployment.log_path(Service::Projector, 0);
        Report {
            seed: options.seed,
            faults: self.faults,
            hits: hits(&self.victims.deployment),
            recoveries: self.recoveries,
            surprises: self.victims.surprises,
            verdict: evidence.verdict(),
            logs: logs.parent().expect("a log is in a directory").to_owned(),
        }
    }
}

/// How long after that time something has come true.
async fn since(time: Instant, is_so: impl Fn() -> bool) -> Option<Duration> {
    eventually(async || is_so()).await.map(|()| time.elapsed())
}

/// How often each window was hit, by what the processes printed before they died.
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

fn shown(recovery: Option<Recovery>) -> String {
    let Some(Recovery { write, read, whole }) = recovery else { return "nothing goes on".to_owned() };
    let whole = whole.map(|time| format!("  all {:.2}", time.as_secs_f64())).unwrap_or_default();
    format!("write {:.2}  read {:.2}{whole}", write.as_secs_f64(), read.as_secs_f64())
}
