//! Logs: JSON lines, or plain ones on a terminal.

use anyhow::{Context as _, anyhow};
use std::{fmt, io::IsTerminal as _, panic::PanicHookInfo, str::FromStr as _};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::LevelFilter,
    layer::{Context, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

/// What is not printed by default; a filter that names it wins. A client's broken request is no error of ours; PostgreSQL's notices say that what
/// is made where it is missing was there ("already exists, skipping"); a statement that was slow is printed as a whole, over a page or more.
const QUIET: &str = "actix_http::h1::dispatcher=off,sqlx::postgres::notice=warn,sqlx::query=error";

/// Starts tracing with a filter such as `info`; logs go to stderr.
///
/// # Errors
/// The filter can't be read, or tracing has been started before.
pub fn init(filter: &str) -> anyhow::Result<()> {
    let filter =
        parse(filter).context("ROLLCALL_LOG: must be a filter such as info or info,projector=debug")?;
    let registry = tracing_subscriber::registry().with(filter).with(NotForThisClient);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if std::io::stdout().is_terminal() {
        registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init()?;
    } else {
        registry.with(lines.json().flatten_event(true).with_span_list(false)).try_init()?;
    }
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Keeps out what librdkafka says of the operator's own settings (`ROLLCALL_KAFKA__…`) that are for another kind of client: all of them get all,
/// producers those of consumers too.
struct NotForThisClient;

impl<S: Subscriber> Layer<S> for NotForThisClient {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        event.metadata().target() != "librdkafka" || {
            let mut found = Found(false);
            event.record(&mut found);
            !found.0
        }
    }
}

/// Whether an event's message is of that kind.
struct Found(bool);

impl Visit for Found {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let message = format!("{value:?}");
            self.0 = message.contains("CONFWARN") && message.contains("will be ignored by this");
        }
    }
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
