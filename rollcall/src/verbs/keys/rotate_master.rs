//! `rollcall keys rotate-master`

use super::super::{
    bar::{Now, bar},
    print,
};
use crate::settings;
use key_store::{Keys, Rotation};
use serde_json::json;

/// Makes another master key, wraps every key under it and destroys the one before; reads and writes go on throughout
///
/// With the old master key every older backup of the key store becomes useless: take a new one. Where it is cut off, run it again.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// JSON lines: {"progress": …} once a second, and {"summary": …} at the end
    #[arg(long)]
    json: bool,
}

const BAR: &str = "{wide_bar} {human_pos}/{human_len} keys  {per_sec}  {eta} left";

pub(crate) async fn rotate_master(args: &Args) -> anyhow::Result<()> {
    let settings = settings::completed()?;
    projector::check_key_store(&settings).await?;
    let keys = Keys::open(&settings)?;
    let (bar, mut now) = (bar(Some(0), BAR), Now::default());
    let rotated = keys.rotate(|rotation| {
        bar.set_length(rotation.total.max(rotation.rewrapped));
        bar.set_position(rotation.rewrapped);
        if args.json && now.is_due() {
            // If nobody reads, the summary will find out.
            let _ = print(json!({"progress": rotation}));
        }
    });
    let rotated = rotated.await;
    bar.finish_and_clear();
    let rotation = rotated?;
    if args.json {
        return print(json!({"summary": rotation}));
    }
    let Rotation { master, rewrapped, .. } = rotation;
    print(format_args!("{rewrapped} keys are wrapped under {master}; the master key before it is destroyed"))
}
