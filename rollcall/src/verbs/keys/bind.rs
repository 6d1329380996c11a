//! `rollcall keys bind`

use super::super::print;
use crate::settings;
use projector::Bound;

/// Says which deployment the key store belongs to, and with --yes binds it to this one
///
/// A key store belongs to one deployment, and every other refuses it. `rollcall migrate` binds the two where it can prove that they belong
/// together: the key store knows the read model's log, or holds the key of one of its users. Where it can't, an operator says so here. No key
/// is changed or destroyed. Keys that another deployment made stay, and no sweep of this one takes them for its own. Run `rollcall migrate`
/// afterwards.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Bind it
    #[arg(long)]
    yes: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn bind(args: &Args) -> anyhow::Result<()> {
    let settings = settings::completed()?;
    let bound =
        if args.yes { projector::bind_anew(&settings).await? } else { projector::bound(&settings).await? };
    if args.json {
        print(serde_json::to_string(&bound)?)?
    } else {
        print(text(&bound))?
    }
    anyhow::ensure!(
        bound.is_bound(),
        "the key store is not bound to this deployment, and nothing was changed. If it is its own, run this again with --yes: the \
         deployment that it belonged to is refused from then on, and its users' keys stay in it, undecided"
    );
    Ok(())
}

fn text(bound: &Bound) -> String {
    let id = |id: Option<uuid::Uuid>| id.map_or("none yet".to_owned(), |id| id.to_string());
    let is_known = if bound.is_log_known { "yes" } else { "no" };
    format!(
        "this deployment                   {}\nthe key store's deployment        {}\nkeys in the key store             {}\n\
         it knows this read model's log    {is_known}",
        id(bound.deployment),
        id(bound.key_store),
        bound.keys,
    )
}
