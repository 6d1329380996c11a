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

/// Show the master keys, and how many keys each of them wraps
///
/// Exits with 1 if the master key is lost or wrong. Two master keys mean that a rotation is running or
/// was interrupted; the next rotation continues it. Warns of an old key store in the read model's
/// database. Undecided keys are those of which nothing proves whether they are needed. They are kept
/// until `rollcall keys sweep --undecided --yes` destroys them.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// List each undecided key with its user and the reason
    #[arg(long)]
    undecided: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    /// All keys.
    keys: i64,
    masters: Vec<MasterCount>,
    /// Keys in an old key store in the read model's database. `None` if there is none.
    #[serde(rename = "formerKeys")]
    old_keys: Option<u64>,
    /// Undecided keys. `None` if a store does not answer.
    undecided: Option<Undecided>,
    /// The same one by one, with `--undecided`.
    #[serde(skip_serializing_if = "Option::is_none")]
    undecided_keys: Option<Vec<UndecidedKey>>,
}

const OLD_STORE_LEFT: &str = "an old key store is in the read model's database: its keys survive every delete. If `rollcall erasure \
    audit` lists no living user whose key is missing, nothing needs it: drop its schema rollcall_keys there, then run `rollcall keys rotate-master`. \
    See docs/privacy.md, \"Moving the key store\"";

pub(crate) async fn status(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    let masters = Keys::open(&settings)?.count().await?;
    let old_keys = old_keys(&settings).await;
    let mut named = Vec::new();
    let undecided = undecided(&settings, |key| named.extend(args.undecided.then_some(key))).await;
    anyhow::ensure!(
        undecided.is_some() || !args.undecided,
        "the undecided keys can't be listed; the warning above says why"
    );
    let status = Status {
        keys: masters.iter().map(|master| master.keys).sum(),
        masters,
        old_keys,
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
        let mut table = Table::new(["tenant", "user", "reason", "log", "requested"]);
        for key in keys {
            let log = key.log.clone().unwrap_or_else(|| "unknown".to_owned());
            let (user, asked_at) = (key.user_id.to_string(), millis(key.asked_at).to_string());
            table.row([key.tenant_id.to_string(), user, key.reason.to_string(), log, asked_at]);
        }
        text += &format!("\n\n{table}");
    }
    text
}

/// Counts the undecided keys. If the read model or the log does not answer, the master keys are shown
/// without them.
async fn undecided(settings: &Settings, each: impl FnMut(UndecidedKey)) -> Option<Undecided> {
    let undecided = privacy::undecided(settings, ORPHAN_AFTER, each).await;
    let warn = |error: &anyhow::Error| {
        tracing::warn!(error = format!("{error:#}"), "can't find out which keys are undecided");
    };
    undecided.inspect_err(warn).ok()
}

/// Counts the keys in an old key store, and warns of it. If the read model does not answer, the other
/// keys are shown without them.
async fn old_keys(settings: &Settings) -> Option<u64> {
    let count = async {
        match OldKeyStore::find(settings).await? {
            Some(old) => anyhow::Ok(Some(old.count().await?)),
            None => Ok(None),
        }
    };
    match count.await {
        Ok(keys) => keys.inspect(|keys| tracing::warn!(keys, "{OLD_STORE_LEFT}")),
        Err(error) => {
            tracing::warn!(
                error = service_kit::errors::describe_error(error.as_ref()),
                "can't find out whether an old key store is in the read model's database"
            );
            None
        }
    }
}
