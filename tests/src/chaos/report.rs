//! The report of a run.

use super::{check::Verdict, recovery::Recovery, windows::WINDOWS};
use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The number of faults of each kind.
    pub faults: BTreeMap<String, usize>,
    /// How often each window was hit, in the order of the windows.
    pub hits: Vec<usize>,
    /// Recovery times by kind. Two faults at once have a kind of their own.
    pub recoveries: BTreeMap<String, Vec<Recovery>>,
    /// Problems that no fault explains.
    pub surprises: Vec<String>,
    /// The result of the checks.
    pub verdict: Verdict,
    /// The directory of the logs.
    pub logs: PathBuf,
}

impl Report {
    /// Whether all checks passed and every window was hit.
    pub fn is_clean(&self) -> bool {
        self.verdict.is_clean() && self.surprises.is_empty() && self.hits.iter().all(|hits| *hits > 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.verdict)?;
        writeln!(f, "\n{:<52}{:>6}", "window", "hits")?;
        for (window, hits) in WINDOWS.iter().zip(&self.hits) {
            writeln!(f, "{:<16}{:<36}{hits:>6}", window.point, window.meaning)?;
        }
        writeln!(f, "\n{:<52}{:>6}", "faults", self.faults.values().sum::<usize>())?;
        for (kind, count) in &self.faults {
            writeln!(f, "{kind:<52}{count:>6}")?;
        }
        self.show_recoveries(f)?;
        for surprise in &self.surprises {
            writeln!(f, "not meant: {surprise}")?;
        }
        if !self.is_clean() {
            let (seed, logs) = (self.seed, self.logs.display());
            writeln!(f, "\nNOT CLEAN. To repeat it: seed {seed}. The logs are in {logs}")?;
        }
        Ok(())
    }
}

impl Report {
    fn show_recoveries(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nseconds from a fault (a freeze: from its end) to: min / median / max")?;
        writeln!(f, "{:<28}{:>22}{:>22}{:>24}", "", "a write 2xx", "a read 200", "every partition")?;
        for (kind, all) in &self.recoveries {
            let write = spread(all.iter().filter_map(|recovery| recovery.write));
            let read = spread(all.iter().filter_map(|recovery| recovery.read));
            let whole = spread(all.iter().filter_map(|recovery| recovery.whole));
            writeln!(f, "{kind:<28}{write:>22}{read:>22}{whole:>24}")?;
        }
        Ok(())
    }
}

fn spread(times: impl Iterator<Item = Duration>) -> String {
    let mut times: Vec<_> = times.map(|time| time.as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    match &times[..] {
        [] => "-".to_owned(),
        all => format!("{:.2} / {:.2} / {:.2}", all[0], all[all.len() / 2], all[all.len() - 1]),
    }
}
