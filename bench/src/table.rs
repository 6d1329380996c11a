//! Prints the results and stores them.

use crate::{All, load::Figures};
use serde_json::{Map, Value, json};
use std::{
    fs,
    io::{Write as _, stdout},
    path::Path,
};
use time::OffsetDateTime;

/// The median.
fn median(figures: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    let mut all: Vec<f64> = figures.iter().map(of).collect();
    all.sort_unstable_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// The median of the ratios of each round. Within a round, changes of the machine affect both
/// builds.
fn ratio(figures: &[Figures], first: &[Figures]) -> f64 {
    let mut ratios: Vec<f64> = figures.iter().zip(first).map(|(one, other)| one.rate / other.rate).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or_default()
}

/// The median CPU time of each program per answer.
fn cpu(figures: &[Figures]) -> String {
    let programs = figures.first().map(|first| first.cpu.0.keys()).into_iter().flatten();
    let cost = |program: &String| {
        let micros = median(figures, |f| f.cpu.0.get(program).copied().unwrap_or_default());
        format!("{program} {micros:.0}")
    };
    programs.map(cost).collect::<Vec<_>>().join(", ")
}

/// Prints a line for each row and build.
pub(crate) fn print(all: &All, first: &str) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    writeln!(
        out,
        "{:<34} {:<10} {:>10} {:>9} {:>9} {:>8}   CPU µs an answer",
        "", "build", "answers/s", "p50 ms", "p99 ms", "rate"
    )?;
    for (row, builds) in all {
        for (name, figures) in builds {
            let (rate, p50, p99) =
                (median(figures, |f| f.rate), median(figures, |f| f.p50), median(figures, |f| f.p99));
            let ratio = builds.get(first).map_or(1.0, |first| ratio(figures, first));
            writeln!(
                out,
                "{:<34} {name:<10} {rate:>10.0} {p50:>9.2} {p99:>9.2} {ratio:>6.2} ×   {}",
                row.name(),
                cpu(figures)
            )?;
        }
    }
    Ok(())
}

/// Stores the results as JSON under today's date, appended to earlier ones of the same day.
pub(crate) fn keep(all: &All, first: &str, users: u32, dir: &Path) -> anyhow::Result<()> {
    let file = dir.join(format!("{}.json", OffsetDateTime::now_utc().date()));
    let mut kept: Map<String, Value> =
        fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let figures = |figures: &[Figures]| {
        json!({
            "answersPerSecond": figures.iter().map(|f| f.rate.round()).collect::<Vec<_>>(),
            "p50Milliseconds": figures.iter().map(|f| (f.p50 * 100.0).round() / 100.0).collect::<Vec<_>>(),
            "p99Milliseconds": figures.iter().map(|f| (f.p99 * 100.0).round() / 100.0).collect::<Vec<_>>(),
        })
    };
    for (row, builds) in all {
        let mut line =
            Map::from_iter([("users".to_owned(), json!(users)), ("ratiosTo".to_owned(), json!(first))]);
        for (name, all) in builds {
            let mut of_build = figures(all);
            of_build["cpuMicrosecondsEach"] = json!(cpu(all));
            of_build["rateRatio"] =
                json!(builds.get(first).map(|first| (ratio(all, first) * 1_000.0).round() / 1_000.0));
            line.insert(name.clone(), of_build);
        }
        kept.insert(row.name().to_owned(), Value::Object(line));
    }
    Ok(fs::write(&file, format!("{:#}\n", Value::Object(kept)))?)
}
