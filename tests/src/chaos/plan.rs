//! The plan of a run, which follows from its seed.

use super::{
    random::Random,
    windows::{WINDOWS, Window},
};
use crate::{Server, Service};
use std::{fmt, time::Duration};

/// The number of instances of each service.
pub const INSTANCES: usize = 2;
const NUMBERS: [usize; INSTANCES] = [0, 1];

const FLUSH: Fault = Fault { target: Target::Server(Server::Redis), blow: Blow::Flush };
const DISCONNECT: Fault = Fault { target: Target::Server(Server::Postgres), blow: Blow::Disconnect };

/// The target of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// An instance of a service.
    Instance(Service, usize),
    /// A server, with all its processes.
    Server(Server),
}

/// The kind of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// SIGKILL, then a restart.
    Kill,
    /// A regular stop, then a restart.
    Restart,
    /// SIGSTOP, and SIGCONT after this time.
    Freeze(Duration),
    /// Restarted so that it dies at this window, after some passes.
    Abort(Window, u64),
    /// Redis loses all data.
    Flush,
    /// PostgreSQL terminates all connections.
    Disconnect,
}

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The target of a fault.
    pub target: Target,
    /// How.
    pub blow: Blow,
}

/// A step of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// One fault, or two on different targets.
    pub faults: Vec<Fault>,
    /// Whether the next step waits for a write to every partition, not just to any.
    pub is_patient: bool,
}

impl Fault {
    /// The name under which recovery times are collected.
    pub fn kind(&self) -> String {
        match (self.blow, self.target) {
            (Blow::Abort(window, _), _) => format!("abort {}", window.point),
            (blow, Target::Instance(service, _)) => format!("{} {}", blow.word(), service.program()),
            (blow, Target::Server(server)) => format!("{} {server:?}", blow.word()),
        }
    }

    /// How the fault is counted. An abort restarts its process first.
    pub fn kinds(&self) -> Vec<String> {
        let restart = Self { blow: Blow::Restart, ..*self };
        let is_abort = matches!(self.blow, Blow::Abort(..));
        is_abort.then(|| restart.kind()).into_iter().chain([self.kind()]).collect()
    }

    /// Whether the fault must be ended explicitly.
    pub fn is_ended(&self) -> bool {
        matches!(self.blow, Blow::Freeze(_) | Blow::Abort(..))
    }

    /// Its duration.
    pub fn lasts(&self) -> Duration {
        if let Blow::Freeze(time) = self.blow { time } else { Duration::ZERO }
    }
}

impl Blow {
    fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Freeze(_) => "freeze",
            Self::Abort(..) => "abort",
            Self::Flush => "flush",
            Self::Disconnect => "disconnect",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind())?;
        if let Target::Instance(_, n) = self.target {
            write!(f, " of {n}")?;
        }
        match self.blow {
            Blow::Freeze(time) => write!(f, " for {:.1} s", time.as_secs_f64()),
            Blow::Abort(_, passes) => write!(f, " after {passes}"),
            _ => Ok(()),
        }
    }
}

/// A plan with at least `faults` faults: every window once, then every kind on every target once,
/// as far as possible, then random ones.
pub fn plan(seed: u64, faults: usize) -> Vec<Step> {
    let mut random = Random::new(seed);
    let mut steps = windows(&mut random);
    let mut kinds = kinds(&mut random);
    while count(&steps) < faults {
        steps.push(kinds.pop().map_or_else(|| by_chance(&mut random), alone));
    }
    random.shuffle(&mut steps);
    steps
}

fn count(steps: &[Step]) -> usize {
    steps.iter().flat_map(|step| &step.faults).map(|fault| fault.kinds().len()).sum()
}

fn alone(fault: Fault) -> Step {
    Step { faults: vec![fault], is_patient: true }
}

/// Every window once, on two instances of a service at a time, so that the run waits for both
/// recoveries at once.
fn windows(random: &mut Random) -> Vec<Step> {
    let of_one = WINDOWS.chunk_by(|a, b| a.service == b.service);
    let pairs = of_one.flat_map(|windows| windows.chunks(INSTANCES));
    let mut step = |pair: &[Window]| {
        let faults = pair.iter().enumerate().map(|(n, window)| abort(random, *window, n)).collect();
        Step { faults, is_patient: true }
    };
    pairs.map(&mut step).collect()
}

/// All kinds except aborts, once for each service and server, in random order.
fn kinds(random: &mut Random) -> Vec<Fault> {
    let mut instance = |service| Target::Instance(service, random.one_of(&NUMBERS));
    let targets = Service::ALL.map(&mut instance).into_iter().chain(Server::ALL.map(Target::Server));
    let mut kinds = vec![FLUSH, DISCONNECT];
    for target in targets {
        let blows = [Blow::Kill, Blow::Restart, freeze(random)];
        kinds.extend(blows.map(|blow| Fault { target, blow }));
    }
    random.shuffle(&mut kinds);
    kinds
}

/// One fault, or sometimes two.
fn by_chance(random: &mut Random) -> Step {
    let mut faults = vec![fault(random)];
    if random.one_in(6) {
        let second = fault(random);
        faults.extend((second.target != faults[0].target).then_some(second));
    }
    Step { faults, is_patient: !random.one_in(4) }
}

/// A random fault of one kind.
type Made = fn(&mut Random) -> Fault;

fn fault(random: &mut Random) -> Fault {
    let kinds: [(u64, Made); 5] = [
        (54, instance),
        (14, |random| {
            let (window, n) = (random.one_of(&WINDOWS), random.one_of(&NUMBERS));
            abort(random, window, n)
        }),
        (24, server),
        (4, |_| FLUSH),
        (4, |_| DISCONNECT),
    ];
    random.weighed(&kinds)(random)
}

fn instance(random: &mut Random) -> Fault {
    let service = random.weighed(&[(5, Service::Projector), (3, Service::Command), (2, Service::Query)]);
    Fault { target: Target::Instance(service, random.one_of(&NUMBERS)), blow: blow(random) }
}

fn server(random: &mut Random) -> Fault {
    Fault { target: Target::Server(random.one_of(&Server::ALL)), blow: blow(random) }
}

fn blow(random: &mut Random) -> Blow {
    let freeze = freeze(random);
    random.weighed(&[(5, Blow::Kill), (4, freeze), (2, Blow::Restart)])
}

/// Mostly short. Sometimes longer than the group's session timeout, so that the projector becomes a
/// zombie.
fn freeze(random: &mut Random) -> Blow {
    let is_long = random.one_in(4);
    Blow::Freeze(if is_long { random.millis(7_000, 12_000) } else { random.millis(100, 3_000) })
}

fn abort(random: &mut Random, window: Window, n: usize) -> Fault {
    Fault { target: Target::Instance(window.service, n), blow: Blow::Abort(window, random.below(60)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_decides_everything() {
        assert_eq!(plan(7, 100), plan(7, 100));
        assert_ne!(plan(7, 100), plan(8, 100));
    }

    #[test]
    fn every_window_and_enough_faults() {
        for seed in 0..100 {
            let steps = plan(seed, 100);
            assert!((100..104).contains(&count(&steps)), "{}", count(&steps));
            let faults: Vec<_> = steps.iter().flat_map(|step| &step.faults).collect();
            for window in WINDOWS {
                assert!(faults.iter().any(|fault| matches!(fault.blow, Blow::Abort(w, _) if w == window)));
            }
            let kinds: BTreeSet<_> = faults.iter().flat_map(|fault| fault.kinds()).collect();
            assert_eq!(kinds.len(), 6 * 3 + 2 + WINDOWS.len());
        }
    }
}
