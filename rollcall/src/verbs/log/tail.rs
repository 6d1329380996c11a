//! `rollcall log tail`

use super::{
    super::write_line,
    reader::{self, From},
    summary::Summary,
};
use crate::{settings, stop::stop};
use service_kit::kafka::Topics;
use std::io::{self, ErrorKind};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Follows users.events and users.credentials, one line for each event, until Ctrl-C
///
/// A line shows where the event is, when it was made, its type, the tenant and the user, and its sequence. Claims, links and
/// everything else of the event's data are not shown, with --json neither.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to begin: beginning, end, or an RFC 3339 time
    #[arg(long, default_value = "end", value_parser = from)]
    from: From,
    /// JSON lines
    #[arg(long)]
    json: bool,
}

fn from(text: &str) -> Result<From, &'static str> {
    match text {
        "beginning" => Ok(From::Beginning),
        "end" => Ok(From::End),
        time => OffsetDateTime::parse(time, &Rfc3339)
            .map(From::Time)
            .map_err(|_| "is neither beginning nor end nor a time such as 2026-01-31T12:00:00Z"),
    }
}

pub(crate) async fn tail(args: &Args) -> anyhow::Result<()> {
    let settings = settings::completed()?;
    let stop = stop()?;
    tokio::select! {
        outcome = follow(args, &settings) => outcome.or_else(unless_nobody_reads),
        () = stop => Ok(()),
    }
}

async fn follow(args: &Args, settings: &service_kit::settings::Settings) -> anyhow::Result<()> {
    let topics = Topics::new(&settings.topic_prefix);
    let consumer = reader::read(settings, vec![topics.users, topics.credentials], args.from).await?;
    loop {
        match consumer.recv().await {
            Ok(message) => show(&Summary::of(&message), args.json)?,
            // The client mends its connections by itself.
            Err(error) => tracing::warn!(%error, "the log can't be read"),
        }
    }
}

fn show(summary: &Summary, is_json: bool) -> anyhow::Result<()> {
    Ok(if is_json { write_line(serde_json::to_string(summary)?) } else { write_line(summary) }?)
}

/// Who reads with `head` has seen enough.
fn unless_nobody_reads(error: anyhow::Error) -> anyhow::Result<()> {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    if kind == Some(ErrorKind::BrokenPipe) { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_word_or_a_time() {
        assert_eq!(from("beginning"), Ok(From::Beginning));
        assert_eq!(from("end"), Ok(From::End));
        assert!(matches!(from("2026-01-31T12:00:00+01:00"), Ok(From::Time(_))));
        for bad in ["", "start", "2026-01-31", "12:00"] {
            assert!(from(bad).is_err(), "{bad}");
        }
    }
}
