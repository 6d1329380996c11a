//! No read is stale: it shows at least what any write or read had answered before it was sent.

mod points;

use super::{evidence::Evidence, verdict::Findings};
use points::{Point, Seen};
use std::{collections::BTreeMap, time::Instant};

pub(super) fn check(evidence: &Evidence) -> Findings {
    let mut findings = Findings::default();
    for (user, mut points) in points::by_user(evidence, &mut findings) {
        points.sort_by_key(|point| point.operation.answered);
        let mut floor = Floor::default();
        for point in &points {
            findings.looked();
            let least = floor.before(point.operation.sent).max(point.least());
            match judge(point, least) {
                Ok(version) => floor.raise(point, version.max(least.version)),
                Err(what) => findings.wrong(format!("{} of {user}: {what}", point.operation)),
            }
        }
    }
    findings
}

/// The version that a read shows, if the read is allowed to.
fn judge(point: &Point<'_>, least: Least<'_>) -> Result<u64, String> {
    let since = || format!("{} was known by {}", least.version, least.by);
    match point.seen {
        Seen::Version(version) if version < least.version => {
            Err(format!("shows version {version}, {}", since()))
        }
        Seen::Version(version) => Ok(version),
        // It may not have existed before anybody knew of it.
        Seen::Nothing if least.version == 0 => Ok(0),
        Seen::Nothing => match point.deleted {
            Some(deletion) if deletion.sent < point.operation.answered => Ok(deletion.version),
            Some(_) => Err(format!("shows nothing before the delete was sent, version {}", since())),
            None => Err(format!("shows nothing, version {}", since())),
        },
    }
}

/// The version that must be shown, and why.
#[derive(Debug, Clone, Copy)]
struct Least<'a> {
    version: u64,
    by: &'a str,
}

impl Least<'_> {
    fn max(self, other: Self) -> Self {
        if other.version > self.version { other } else { self }
    }
}

/// The highest known version at each time.
#[derive(Default)]
struct Floor<'a>(BTreeMap<Instant, Least<'a>>);

impl<'a> Floor<'a> {
    /// What had been answered before.
    fn before(&self, sent: Instant) -> Least<'a> {
        self.0.range(..sent).next_back().map_or(Least { version: 0, by: "nobody" }, |(_, least)| *least)
    }

    /// The points must be in the order of their answers.
    fn raise(&mut self, point: &Point<'a>, version: u64) {
        let highest = self.0.last_key_value().map_or(0, |(_, least)| least.version);
        if version > highest {
            self.0.insert(point.operation.answered, Least { version, by: &point.operation.request });
        }
    }
}

impl<'a> Point<'a> {
    /// What its own `Read-After` requires.
    fn least(&self) -> Least<'a> {
        Least { version: self.asked_for, by: "its Read-After" }
    }
}

#[cfg(test)]
mod tests;
