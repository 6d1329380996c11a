//! `rollcall dead-letters list`

use super::{
    super::{
        print,
        table::{Table, cell},
    },
    User,
};
use crate::settings;
use events_schema::millis;

/// List the dead letters in the order of the log
///
/// The id is the topic, partition and offset of the record. The first dead letter of a user could not
/// be folded; the others of that user are queued behind it.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    user: User,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

pub(crate) async fn list(args: &Args) -> anyhow::Result<()> {
    let letters = projector::dead_letters(&settings::load()?, args.user.filter().as_ref()).await?;
    if args.json {
        return letters.iter().try_for_each(|letter| print(serde_json::to_string(letter)?));
    }
    let mut table = Table::new(["id", "tenant", "user", "parked", "bytes", "reason", "detail"]);
    for letter in letters {
        table.row([
            letter.id,
            cell(letter.tenant_id),
            cell(letter.user_id),
            millis(letter.parked_at).to_string(),
            letter.size.to_string(),
            letter.reason,
            letter.detail,
        ]);
    }
    print(table)
}
