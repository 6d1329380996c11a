//! Verbs on projections beside the users: what differs from those on the users.

pub(super) mod list;
pub(super) mod query;
pub(super) mod status;

use clap::builder::PossibleValuesParser;

/// `--projection NAME`
#[derive(clap::Args)]
pub(super) struct Name {
    /// A projection beside the users. Without it: the users
    #[arg(long = "projection", value_name = "NAME", value_parser = known())]
    pub(super) projection: Option<String>,
}

impl Name {
    /// The option as it was given, for commands in messages.
    pub(super) fn option(&self) -> String {
        self.projection.as_ref().map(|name| format!(" --projection {name}")).unwrap_or_default()
    }
}

/// Accepts the names of all projections. Another one is wrong usage, and the error lists them.
pub(super) fn known() -> PossibleValuesParser {
    PossibleValuesParser::new(projector::projections::names())
}
