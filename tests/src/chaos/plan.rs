//! What a run does, decided by its seed alone.

use super::{
    random::Random,
    windows::{WINDOWS, Window},
};
use crate::{Server, Service};
use std::{fmt, time::Duration};

/// So many instances of each service there are.
pub const INSTANCES: usize = 2;

/// What is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// An instance of a service.
    Instance(Service, usize),
    /// A server, with all its processes.
    Server(Server),
}

/// How it is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// kill -9, and it is started again.
    Kill,
    /// It is stopped in good order and started again.
    Restart,
    /// SIGSTOP, and SIGCONT after that time.
    Freeze(Duration),
    /// Restarted such that it dies at that window, after so many passes.
    Abort(Window, u64),
    /// Redis loses everything.
    Flush,
    /// Postgres ends every connection.
    Disconnect,
}

/// A blow to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What is hit.
    pub target: Target,
    /// How.
    pub blow: Blow,
}

/// What is done at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// One fault, or two to different targets.
    pub faults: Vec<Fault>,
    /// Whether every partition must be written again before the next step, not just any.
    pub is_patient: bool,
}

impl Fault {
    /// What recovery times are gathered under.
    pub fn kind(&self) -> String {
        match (self.blow, self.target) {
            (Blow::Abort(window, _), _) => format!("abort {}", window.point),
            (blow, Target::Instance(service, _)) => format!("{} {}", blow.word(), service.program()),
            (blow, Target::Server(server)) => format!("{} {server:?}", blow.word()),
        }
    }

    /// What it counts as: an abort restarts its process first.
    pub fn kinds(&self) -> Vec<String> {
        let restart = Self { blow: Blow::Restart, ..*self };
        let is_abort = matches!(self.blow, Blow::Abort(..));
        is_abort.then(|| restart.kind()).into_iter().chain([self.kind()]).collect()
    }

    /// Whether something has to be done at its end.
    pub fn is_ended(&self) -> bool {
        matches!(self.blow, Blow::Freeze(_) | Blow::Abort(..))
    }

    /// How long it lasts.
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

/// At least `faults` faults: every window once, the others by chance.
pub fn plan(seed: u64, faults: usize) -> Vec<Step> {
    let mut random = Random::new(seed);
    let mut steps: Vec<_> = WINDOWS.iter().map(|window| abort(&mut random, *window)).map(alone).collect();
    while count(&steps) < faults {
        steps.push(step(&mut random));
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

fn step(random: &mut Random) -> Step {
    let mut faults = vec![fault(random)];
    if random.one_in(6) {
        let second = fault(random);
        faults.extend((second.target != faults[0].target).then_some(second));
    }
    Step { faults, is_patient: !random.one_in(4) }
}

fn fault(random: &mut Random) -> Fault {
    let kinds: [(u64, fn(&mut Random) -> Fault); 9] = [
        (26, |random| at(instance(random), Blow::Kill)),
        (18, |random| at(instance(random), freeze(random))),
        (10, |random| at(instance(random), Blow::Restart)),
        (14, |random| {
            let window = random.one_of(&WINDOWS);
            abort(random, window)
        }),
        (10, |random| at(server(random), Blow::Kill)),
        (9, |random| at(server(random), freeze(random))),
        (5, |random| at(server(random), Blow::Restart)),
        (4, |_| at(Target::Server(Server::Redis), Blow::Flush)),
        (4, |_| at(Target::Server(Server::Postgres), Blow::Disconnect)),
    ];
    random.weighed(&kinds)(random)
}

fn at(target: Target, blow: Blow) -> Fault {
    Fault { target, blow }
}

fn instance(random: &mut Random) -> Target {
    let service = random.weighed(&[(5, Service::Projector), (3, Service::Command), (2, Service::Query)]);
    Target::Instance(service, one(random))
}

fn one(random: &mut Random) -> usize {
    let numbers: [usize; INSTANCES] = std::array::from_fn(|n| n);
    random.one_of(&numbers)
}

fn server(random: &mut Random) -> Target {
    Target::Server(random.one_of(&Server::ALL))
}

/// Mostly short; now and then longer than the group's session timeout of 6 s, which makes a zombie of a projector.
fn freeze(random: &mut Random) -> Blow {
    let is_long = random.one_in(4);
    Blow::Freeze(if is_long { random.millis(6_500, 9_000) } else { random.millis(100, 3_000) })
}

fn abort(random: &mut Random, window: Window) -> Fault {
    at(Target::Instance(window.service, one(random)), Blow::Abort(window, random.below(60)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        }
    }
}
