//! Logs: JSON lines, or plain text on a terminal.

mod kafka_lines;

use anyhow::{Context as _, anyhow};
use kafka_lines::KafkaLines;
use std::{io::IsTerminal as _, panic::PanicHookInfo, str::FromStr as _};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Turned down by default; a filter that names one of these targets wins. A client's malformed
/// request is not our error; PostgreSQL's notices are about `IF NOT EXISTS`; and sqlx prints a slow
/// statement in full, which can take a page.
const QUIET: &str = "actix_http::h1::dispatcher=off,sqlx::postgres::notice=warn,sqlx::query=error";

/// Starts tracing with a filter such as `info`. Logs go to stderr.
///
/// # Errors
/// The filter is invalid, or tracing has been started before.
pub fn init(filter: &str) -> anyhow::Result<()> {
    let filter =
        parse(filter).context("ROLLCALL_LOG: must be a filter such as info or info,projector=debug")?;
    let registry = tracing_subscriber::registry().with(filter).with(KafkaLines::default());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if std::io::stdout().is_terminal() {
        registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init()?;
    } else {
        registry.with(lines.json().flatten_event(true).with_span_list(false)).try_init()?;
    }
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// The filter itself if it is valid.
pub(crate) fn checked(filter: &str) -> Option<String> {
    parse(filter).ok().map(|_| filter.to_owned())
}

fn parse(filter: &str) -> anyhow::Result<Targets> {
    match filter.split(',').find(|part| !is_directive(part)) {
        Some(_) => Err(anyhow!("a part is neither a level nor target=level")),
        None => Ok(format!("{QUIET},{filter}").parse()?),
    }
}

/// A single word must be a level: the library would take any other for a target and turn off the
/// rest.
fn is_directive(part: &str) -> bool {
    let is_level = |text: &str| LevelFilter::from_str(text).is_ok();
    let is_target = |text: &str| {
        !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b':'))
    };
    match part.split_once('=') {
        Some((target, level)) => is_target(target) && is_level(level),
        None => !part.is_empty() && is_level(part),
    }
}

/// Logs a panic's place, and its message only when that is a literal: a formatted message may hold
/// personal data.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let reason = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(not shown)");
    tracing::error!(location, reason, "a bug: the code panicked");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_levels_and_targets() {
        for good in ["info", "warn,projector=debug", "off", "WARN"] {
            assert!(checked(good).is_some(), "{good}");
        }
        for bad in ["", "loud", "info,projector", "projector=loud", "info,", "info, http=warn"] {
            assert!(checked(bad).is_none(), "{bad}");
        }
    }
}
