//! The results of the checks, as a table.

use super::evidence::Evidence;
use std::{collections::BTreeMap, fmt};

/// How many examples are shown for each check.
const EXAMPLES: usize = 5;

/// The result of one check.
#[derive(Debug, Default)]
pub struct Findings {
    /// How many items were checked.
    pub looked_at: usize,
    /// What is wrong.
    pub wrong: Vec<String>,
    /// Counts that are worth knowing, but not wrong.
    pub notes: BTreeMap<&'static str, usize>,
}

impl Findings {
    pub(super) fn looked(&mut self) {
        self.looked_at += 1;
    }

    pub(super) fn looked_at(&mut self, more: usize) {
        self.looked_at += more;
    }

    pub(super) fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    pub(super) fn note(&mut self, what: &'static str) {
        *self.notes.entry(what).or_default() += 1;
    }
}

/// The name and the result of each check.
#[derive(Debug)]
pub struct Verdict(pub Vec<(&'static str, Findings)>);

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.0.iter().all(|(_, findings)| findings.wrong.is_empty())
    }

    /// How often each check found something wrong.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.0.iter().map(|(name, findings)| (*name, findings.wrong.len()))
    }
}

impl Evidence {
    /// Runs every check.
    pub fn verdict(&self) -> Verdict {
        Verdict(super::CHECKS.iter().map(|(name, check)| (*name, check(self))).collect())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<26} {:>7} {:>9}", "check", "wrong", "looked at")?;
        for (name, findings) in &self.0 {
            writeln!(f, "{name:<26} {:>7} {:>9}", findings.wrong.len(), findings.looked_at)?;
        }
        for (name, findings) in &self.0 {
            for (note, count) in &findings.notes {
                writeln!(f, "note: {name}: {note}: {count}")?;
            }
            for wrong in findings.wrong.iter().take(EXAMPLES) {
                writeln!(f, "WRONG: {name}: {wrong}")?;
            }
        }
        Ok(())
    }
}
