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

/// Follow users.events and users.credentials until Ctrl-C, one line for each event
///
/// A line shows the event's place, time, type, tenant, user and sequence. The event's data, such as
/// claims and links, is never shown.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to start: beginning, end, or an RFC 3339 time
    #[arg(long, default_value = "end", value_parser = from)]
    from: From,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

fn from(text: &str) -> Result<From, &'static str> {
    match text {
        "beginning" => Ok(From::Beginning),
        "end" => Ok(From::End),
        time => OffsetDateTime::parse(time, &Rfc3339)
            .map(From::Time)
            .map_err(|_| "expected `beginning`, `end` or a time such as 2026-01-31T12:00:00Z"),
    }
}

pub(crate) async fn tail(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    let stop = stop()?;
    tokio::select! {
        outcome = follow(args, &settings) => outcome.or_else(ignore_broken_pipe),
        () = stop => Ok(()),
    }
}

async fn follow(args: &Args, settings: &service_kit::settings::Settings) -> anyhow::Result<()> {
    let topics = Topics::new(&settings.topic_prefix);
    let consumer = reader::read(settings, vec![topics.users, topics.credentials], args.from).await?;
    loop {
        match consumer.recv().await {
            Ok(message) => show(&Summary::of(&message), args.json)?,
            // The client reconnects by itself.
            Err(error) => tracing::warn!(%error, "can't read the log"),
        }
    }
}

fn show(summary: &Summary, is_json: bool) -> anyhow::Result<()> {
    Ok(if is_json { write_line(serde_json::to_string(summary)?) } else { write_line(summary) }?)
}

/// A closed stdout is a success: `head` has read enough.
fn ignore_broken_pipe(error: anyhow::Error) -> anyhow::Result<()> {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    if kind == Some(ErrorKind::BrokenPipe) { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_word_or_a_time() {
        assert_eq!(from("beginning"), Ok(From::Beginning));
        assert_eq!(from("end"), Ok(From::End));
        assert!(matches!(from("2026-01-31T12:00:00+01:00"), Ok(From::Time(_))));
        for bad in ["", "start", "2026-01-31", "12:00"] {
            assert!(from(bad).is_err(), "{bad}");
        }
    }
}
