//! The figures, for people and for later runs.

use crate::{All, Resources, load::Figures, row};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{Write as _, stdout},
    path::Path,
};
use time::OffsetDateTime;

/// Subjects that are no build.
const REFERENCES: [&str; 6] = ["crud", "bare", "silent", "raw select", "raw update", "raw append"];

/// The median.
pub(crate) fn median(mut all: Vec<f64>) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn median_of(figures: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    median(figures.iter().map(of).collect())
}

/// The ratios of the rates, round by round: the lowest, the median and the highest.
fn ratios(figures: &[Figures], other: &[Figures]) -> [f64; 3] {
    spread(figures.iter().zip(other).map(|(one, other)| one.rate / other.rate).collect())
}

/// The lowest, the median and the highest.
pub(crate) fn spread(mut all: Vec<f64>) -> [f64; 3] {
    all.sort_unstable_by(f64::total_cmp);
    let at = |place: usize| all.get(place).copied().unwrap_or_default();
    [at(0), at(all.len() / 2), at(all.len().saturating_sub(1))]
}

/// For files.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Median processor time per response and program, in microseconds.
fn cpu(figures: &[Figures]) -> BTreeMap<String, f64> {
    let programs = figures.first().map(|first| first.cpu.0.keys()).into_iter().flatten();
    let cost = |program: &String| {
        (program.clone(), median_of(figures, |f| f.cpu.0.get(program).copied().unwrap_or_default()).round())
    };
    programs.map(cost).filter(|(_, micros)| *micros >= 1.0).collect()
}

fn cpu_text(figures: &[Figures]) -> String {
    let cpu = cpu(figures);
    let programs = cpu.iter().map(|(program, micros)| format!("{program} {micros}"));
    format!("{} ({})", cpu.values().sum::<f64>(), programs.collect::<Vec<_>>().join(", "))
}

/// A build beside a reference: ratio of the rates with its spread. For R4, of the latencies.
fn compared(subjects: &BTreeMap<String, Vec<Figures>>, name: &str) -> Vec<String> {
    let figures = &subjects[name];
    let others = subjects.iter().filter(|(other, _)| *other != name);
    let mut lines: Vec<String> = others
        .map(|(other, of)| {
            let [low, middle, high] = ratios(figures, of);
            format!("{middle:.2} x {other} ({low:.2}-{high:.2})")
        })
        .collect();
    if let (Some(append), Some(update)) = (subjects.get("raw append"), subjects.get("raw update")) {
        let of = |at: fn(&Figures) -> f64| {
            median_of(figures, at) / (median_of(append, at) + median_of(update, at))
        };
        lines.push(format!("p50 {:.1} x, p99 {:.1} x (append + commit)", of(|f| f.p50), of(|f| f.p99)));
    }
    lines
}

/// Prints a line for each row and subject.
pub(crate) fn print(all: &All, resources: &BTreeMap<String, Resources>) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    for (n, subjects) in all {
        let row = &row::ALL[*n];
        writeln!(
            out,
            "\n{}   target: {}",
            row.name,
            if row.target.is_empty() { "none" } else { row.target }
        )?;
        for (name, figures) in subjects {
            let (rate, p50, p99) = (
                median_of(figures, |f| f.rate),
                median_of(figures, |f| f.p50),
                median_of(figures, |f| f.p99),
            );
            writeln!(
                out,
                "  {name:<11} {rate:>8.0}/s  p50 {p50:>8.2} ms  p99 {p99:>8.2} ms  CPU us each {}",
                cpu_text(figures)
            )?;
            if !REFERENCES.contains(&name.as_str()) {
                compared(subjects, name).iter().try_for_each(|line| writeln!(out, "      {line}"))?;
            }
        }
    }
    writeln!(
        out,
        "\nR9 resident memory, R10 second start of everything   target: <= 30 MB idle, <= 150 MB after load, <= 15 s"
    )?;
    for (name, Resources { idle_megabytes, loaded_megabytes, restart_seconds }) in resources {
        writeln!(
            out,
            "  {name:<11} idle {idle_megabytes:.0} MB, after load {loaded_megabytes:.0} MB, start {restart_seconds:.1} s"
        )?;
    }
    Ok(())
}

/// Keeps the figures as JSON under today's date, beside what is there of the same day.
pub(crate) fn keep(
    all: &All,
    resources: &BTreeMap<String, Resources>,
    users: u32,
    dir: &Path,
) -> anyhow::Result<()> {
    let mut rows = Map::new();
    for (n, subjects) in all {
        let mut line = Map::from_iter([
            ("users".to_owned(), json!(users)),
            ("target".to_owned(), json!(row::ALL[*n].target)),
        ]);
        for (name, figures) in subjects {
            let round = |of: fn(&Figures) -> f64| -> Vec<f64> {
                figures.iter().map(|f| (of(f) * 100.0).round() / 100.0).collect()
            };
            let is_build = !REFERENCES.contains(&name.as_str());
            line.insert(
                name.clone(),
                json!({
                    "responsesPerSecond": round(|f| f.rate),
                    "p50Milliseconds": round(|f| f.p50),
                    "p99Milliseconds": round(|f| f.p99),
                    "cpuMicrosecondsEach": cpu(figures),
                    "ratios": if is_build { compared(subjects, name) } else { Vec::new() },
                }),
            );
        }
        rows.insert(row::ALL[*n].name.to_owned(), Value::Object(line));
    }
    let of_build = |(name, r): (&String, &Resources)| {
        let figures = json!({
            "idleMegabytes": r.idle_megabytes.round(),
            "loadedMegabytes": r.loaded_megabytes.round(),
            "secondStartSeconds": (r.restart_seconds * 10.0).round() / 10.0,
        });
        (name.clone(), figures)
    };
    let resources: Map<String, Value> = resources.iter().map(of_build).collect();
    rows.insert("R9, R10 memory and start".to_owned(), Value::Object(resources));
    merge(rows, dir)
}

/// Writes rows into the file of today's date, beside what is there of the same day.
pub(crate) fn merge(rows: Map<String, Value>, dir: &Path) -> anyhow::Result<()> {
    let file = dir.join(format!("{}.json", OffsetDateTime::now_utc().date()));
    let mut kept: Map<String, Value> =
        fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    kept.extend(rows);
    fs::create_dir_all(dir)?;
    Ok(fs::write(&file, format!("{:#}\n", Value::Object(kept)))?)
}
