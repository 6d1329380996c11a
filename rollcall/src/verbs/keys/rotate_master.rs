//! `rollcall keys rotate-master`

use super::super::{
    bar::{Throttle, bar},
    print,
    words::number,
};
use crate::settings;
use key_store::{Keys, Rotation};
use serde_json::json;

/// Create a new master key, wrap every data key under it, and destroy the old one
///
/// Reads and writes go on throughout. Backups of the key store need the old master key, so they become
/// useless: take a new backup afterwards. If the rotation is interrupted, run it again.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print JSON lines: {"progress": …} once a second, and {"summary": …} at the end
    #[arg(long)]
    json: bool,
}

const BAR: &str = "{wide_bar} {human_pos}/{human_len} keys  {per_sec}  {left}";

pub(crate) async fn rotate_master(args: &Args) -> anyhow::Result<()> {
    let settings = settings::load()?;
    projector::check_key_store(&settings).await?;
    let keys = Keys::open(&settings)?;
    let (bar, mut throttle) = (bar(Some(0), BAR), Throttle::default());
    let rotated = keys.rotate(|rotation| {
        bar.set_length(rotation.total.max(rotation.rewrapped));
        bar.set_position(rotation.rewrapped);
        if args.json && throttle.is_due() {
            // If stdout is closed, printing the summary reports it.
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
    print(format_args!(
        "{} wrapped under {master}; the old master key is destroyed. Back up the key store and the master key now: earlier \
         backups of the key store can't be opened any more",
        number(rewrapped, "key")
    ))
}
