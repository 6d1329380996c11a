//! `rollcall keys bind`

use super::super::print;
use crate::{interrupted::NOTHING, settings};
use projector::Bound;

/// Show which deployment the key store belongs to, or bind it to this one with --yes
///
/// A key store belongs to one deployment, and all others refuse it. `rollcall migrate` binds the two if
/// it can prove that they belong together: the key store knows the read model's log, or holds the key of
/// one of its users. If it can't, you decide with this command. No key is changed or destroyed. Keys of
/// another deployment stay undecided. Run `rollcall migrate` afterwards.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Bind the key store to this deployment
    #[arg(long)]
    yes: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Args {
    /// What it leaves if it is interrupted.
    pub(super) const fn left(&self) -> &'static str {
        if self.yes { "`rollcall keys bind` shows whether the key store is bound" } else { NOTHING }
    }
}

pub(crate) async fn bind(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    let bound =
        if args.yes { projector::bind_anew(&settings).await? } else { projector::bound(&settings).await? };
    if args.json {
        print(serde_json::to_string(&bound)?)?
    } else {
        print(text(&bound))?
    }
    anyhow::ensure!(
        bound.is_bound(),
        "the key store is not bound to this deployment, and nothing was changed. If it belongs to this deployment, repeat the \
         command with --yes: the former deployment is then refused, and the keys of its users stay, undecided"
    );
    Ok(())
}

fn text(bound: &Bound) -> String {
    let id = |id: Option<uuid::Uuid>| id.map_or("none yet".to_owned(), |id| id.to_string());
    let is_known = if bound.is_log_known { "yes" } else { "no" };
    format!(
        "this deployment              {}\ndeployment of the key store  {}\nkeys in the key store        {}\n\
         knows this read model's log  {is_known}",
        id(bound.deployment),
        id(bound.key_store),
        bound.keys,
    )
}
