//! `rollcall migrate`

use crate::settings;

/// Creates or updates the read model's schema and the topics; changes nothing where they are as they should be
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn migrate(_: &Args) -> anyhow::Result<()> {
    projector::migrate(&settings::completed()?).await
}
