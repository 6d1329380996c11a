//! CPU time of a process and its descendants, by program.

use std::{collections::BTreeMap, fs};

/// Microseconds by program.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cpu(pub(crate) BTreeMap<String, f64>);

/// A process in `/proc`.
struct Process {
    pid: u32,
    parent: u32,
    program: String,
    micros: f64,
}

impl Cpu {
    /// CPU time since the start of each process, with that of its children that have ended.
    pub(crate) fn of_trees(roots: &[u32]) -> Self {
        let all: Vec<Process> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| process(&entry))
            .collect();
        let (mut tree, mut seen) = (roots.to_vec(), 0);
        while let Some(parent) = tree.get(seen).copied() {
            tree.extend(all.iter().filter(|process| process.parent == parent).map(|process| process.pid));
            seen += 1;
        }
        let mut cpu = Self::default();
        for process in all.into_iter().filter(|process| tree.contains(&process.pid)) {
            *cpu.0.entry(process.program).or_default() += process.micros;
        }
        cpu
    }

    /// The difference to an earlier sum.
    pub(crate) fn since(mut self, earlier: &Self) -> Self {
        for (program, micros) in &mut self.0 {
            *micros -= earlier.0.get(program).copied().unwrap_or_default();
        }
        self
    }

    /// The sum divided by `count`.
    pub(crate) fn each(mut self, count: usize) -> Self {
        self.0.values_mut().for_each(|micros| *micros /= count.max(1) as f64);
        self
    }
}

/// Parses `/proc/<pid>/stat`. The program's name is in brackets and may contain any character; the
/// fields after it are separated by spaces.
fn process(entry: &fs::DirEntry) -> Option<Process> {
    let pid = entry.file_name().to_str()?.parse().ok()?;
    let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, program) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    // Counted as in the manual: the state is field 3, the parent field 4, user and system time
    // fields 14 and 15, those of ended children fields 16 and 17.
    let ticks: f64 = (11..=14).filter_map(|n| fields.get(n)?.parse::<f64>().ok()).sum();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        program: program.to_owned(),
        micros: ticks * MICROS,
    })
}

/// Microseconds in a clock tick. Linux reports 100 ticks per second to programs.
const MICROS: f64 = 10_000.0;
