//! Logs: JSON lines, or plain ones on a terminal.

use anyhow::{Context as _, anyhow};
use std::{io::IsTerminal as _, panic::PanicHookInfo, str::FromStr as _};
use tracing_subscriber::{
    EnvFilter, filter::LevelFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// What a client's broken request must not print as an error of ours; a filter that names it wins.
const QUIET: &str = "actix_http::h1::dispatcher=off";

/// Starts tracing with a filter such as `info`; logs go to stderr.
///
/// # Errors
/// The filter can't be read, or tracing has been started before.
pub fn init(filter: &str) -> anyhow::Result<()> {
    let filter =
        parse(filter).context("ROLLCALL_LOG: must be a filter such as info or info,projector=debug")?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if std::io::stdout().is_terminal() {
        registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init()?;
    } else {
        registry.with(lines.json().flatten_event(true).with_span_list(false)).try_init()?;
    }
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// The filter itself, if it can be read.
pub(crate) fn checked(filter: &str) -> Option<String> {
    parse(filter).ok().map(|_| filter.to_owned())
}

fn parse(filter: &str) -> anyhow::Result<EnvFilter> {
    match filter.split(',').find(|part| !is_directive(part)) {
        Some(_) => Err(anyhow!("a part is neither a level nor target=level")),
        None => Ok(EnvFilter::builder().parse(format!("{QUIET},{filter}"))?),
    }
}

/// A lone word that is no level would be taken for a target, and silence everything else.
fn is_directive(part: &str) -> bool {
    !part.is_empty() && (part.contains(['=', '[']) || LevelFilter::from_str(part).is_ok())
}

/// Says where, and why only in words that stand in the code: a formatted message could hold someone's data.
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
