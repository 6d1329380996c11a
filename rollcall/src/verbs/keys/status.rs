//! `rollcall keys status`

use super::{
    super::{print, table::Table},
    groups,
};
use crate::settings;
use events_schema::millis;
use key_store::{Keys, MasterCount, OldKeyStore};
use privacy::{ORPHAN_AFTER, Undecided, UndecidedKey};
use serde::Serialize;
use service_kit::settings::Settings;

/// Shows the master keys and how many keys each of them wraps; exit 1 where the master key is lost or is not the right one
///
/// Two master keys: a rotation is at work, or was cut off; another one goes on from there. A former key store in the read model's database is
/// told, too. Undecided are keys of which nobody can tell whether they are needed: they are kept, and go only by
/// `rollcall keys sweep --undecided`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name each undecided key: its user, and why
    #[arg(long)]
    undecided: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    /// Keys in all.
    keys: i64,
    masters: Vec<MasterCount>,
    /// Keys in a former key store in the read model's database; none: there is no such store.
    former_keys: Option<u64>,
    /// Keys of which nobody can tell whether they are needed; none: it can't be told now.
    undecided: Option<Undecided>,
    /// The same one by one, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    undecided_keys: Option<Vec<UndecidedKey>>,
}

const LEFT_BEHIND: &str = "an old key store is in the read model's database: what it holds outlives each delete from now on. See \
    first that `rollcall erasure audit` names no living user whose key is missing: then nothing needs it, and its schema rollcall_keys can go from \
    there. `rollcall keys rotate-master` comes last. docs/privacy.md, \"Moving the key store\", shows the way";

pub(crate) async fn status(args: &Args) -> anyhow::Result<()> {
    let settings = settings::completed()?;
    let masters = Keys::open(&settings)?.count().await?;
    let former_keys = former_keys(&settings).await;
    let mut named = Vec::new();
    let undecided = undecided(&settings, |key| named.extend(args.undecided.then_some(key))).await;
    anyhow::ensure!(undecided.is_some() || !args.undecided, "the undecided keys can't be named");
    let status = Status {
        keys: masters.iter().map(|master| master.keys).sum(),
        masters,
        former_keys,
        undecided,
        undecided_keys: args.undecided.then_some(named),
    };
    if args.json {
        return print(serde_json::to_string(&status)?);
    }
    print(text(&status))
}

fn text(status: &Status) -> String {
    let mut table = Table::new(["master key", "since", "wraps new keys", "keys"]);
    for MasterCount { id, since, is_current, keys } in &status.masters {
        let is_current = if *is_current { "yes" } else { "no" };
        table.row([id.clone(), millis(*since).to_string(), is_current.to_owned(), keys.to_string()]);
    }
    let mut text = table.to_string();
    if let Some(undecided) = status.undecided.as_ref().filter(|undecided| undecided.keys > 0) {
        text += &format!("\n\nundecided\n{}", groups::table(&undecided.groups));
    }
    if let Some(keys) = status.undecided_keys.as_ref().filter(|keys| !keys.is_empty()) {
        let mut table = Table::new(["tenant", "user", "reason", "of the log", "asked for"]);
        for key in keys {
            let log = key.log.clone().unwrap_or_else(|| "unknown".to_owned());
            let (user, asked_at) = (key.user_id.to_string(), millis(key.asked_at).to_string());
            table.row([key.tenant_id.to_string(), user, key.reason.to_string(), log, asked_at]);
        }
        text += &format!("\n\n{table}");
    }
    text
}

/// Undecided keys. That the read model or the log does not answer is no reason to say nothing of the master keys.
async fn undecided(settings: &Settings, each: impl FnMut(UndecidedKey)) -> Option<Undecided> {
    let undecided = privacy::undecided(settings, ORPHAN_AFTER, each).await;
    let tell = |error: &anyhow::Error| {
        tracing::warn!(error = format!("{error:#}"), "nobody can tell which keys are undecided");
    };
    undecided.inspect_err(tell).ok()
}

/// Keys in a former key store, with a warning. That the read model does not answer is no reason to say nothing of the keys.
async fn former_keys(settings: &Settings) -> Option<u64> {
    let count = async {
        match OldKeyStore::find(settings).await? {
            Some(former) => anyhow::Ok(Some(former.count().await?)),
            None => Ok(None),
        }
    };
    match count.await {
        Ok(keys) => keys.inspect(|keys| tracing::warn!(keys, "{LEFT_BEHIND}")),
        Err(error) => {
            tracing::warn!(
                error = service_kit::errors::describe_error(error.as_ref()),
                "nobody can tell whether a former key store is there"
            );
            None
        }
    }
}
