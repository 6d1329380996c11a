//! `rollcall keys status`

use super::super::{print, table::Table};
use crate::settings;
use events_schema::millis;
use serde::Serialize;
use service_kit::{
    keys::{Former, Keys, MasterCount},
    settings::Settings,
};

/// Shows the master keys and how many keys each of them wraps; exit 1 where the master key is lost or is not the right one
///
/// Two master keys: a rotation is at work, or was cut off; another one goes on from there. A former key store in the read model's database is
/// told, too.
#[derive(clap::Args)]
pub(crate) struct Args {
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
}

const LEFT_BEHIND: &str = "a former key store is in the read model's database: what it holds outlives each delete from now on. See \
    first that `rollcall erasure audit` names no living user whose key is missing: then nothing needs it, and its schema rollcall_keys can go from \
    there. `rollcall keys rotate-master` comes last. docs/privacy.md, \"Moving the key store\", shows the way";

pub(crate) async fn status(args: &Args) -> anyhow::Result<()> {
    let settings = settings::completed()?;
    let masters = Keys::open(&settings)?.count().await?;
    let former_keys = former_keys(&settings).await;
    let status = Status { keys: masters.iter().map(|master| master.keys).sum(), masters, former_keys };
    if args.json {
        return print(serde_json::to_string(&status)?);
    }
    let mut table = Table::new(["master key", "since", "wraps new keys", "keys"]);
    for MasterCount { id, since, is_current, keys } in &status.masters {
        let is_current = if *is_current { "yes" } else { "no" };
        table.row([id.clone(), millis(*since).to_string(), is_current.to_owned(), keys.to_string()]);
    }
    print(table)
}

/// Keys in a former key store, with a warning. That the read model does not answer is no reason to say nothing of the keys.
async fn former_keys(settings: &Settings) -> Option<u64> {
    let count = async {
        match Former::find(settings).await? {
            Some(former) => anyhow::Ok(Some(former.count().await?)),
            None => Ok(None),
        }
    };
    match count.await {
        Ok(keys) => keys.inspect(|keys| tracing::warn!(keys, "{LEFT_BEHIND}")),
        Err(error) => {
            tracing::warn!(
                error = service_kit::chain::told(error.as_ref()),
                "nobody can tell whether a former key store is there"
            );
            None
        }
    }
}
