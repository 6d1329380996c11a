//! `rollcall keys status`

use super::super::{print, table::Table};
use crate::settings;
use events_schema::millis;
use serde::Serialize;
use service_kit::keys::{Keys, MasterCount};

/// Shows the master keys and how many keys each of them wraps; exit 1 where the master key is lost or is not the right one
///
/// Two master keys: a rotation is at work, or was cut off; another one goes on from there.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Status {
    /// Keys in all.
    keys: i64,
    masters: Vec<MasterCount>,
}

pub(crate) async fn status(args: &Args) -> anyhow::Result<()> {
    let masters = Keys::open(&settings::completed()?)?.count().await?;
    let status = Status { keys: masters.iter().map(|master| master.keys).sum(), masters };
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
