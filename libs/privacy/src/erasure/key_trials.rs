//! Tries every key on every sealed part: a proof does not trust the key ids that events name.

use super::{content::SealedPart, report::KeyTrials};
use crate::progress::{ScanProgress, Step};
use key_store::{DataKey, Keys, Owner};
use std::collections::BTreeSet;

/// The results of all trials.
#[derive(Default)]
pub(super) struct Trials {
    /// The counts.
    pub(super) counts: KeyTrials,
    /// The parts, by number, that an existing key opens, or whose named key exists. The latter counts
    /// too, because a cipher's key decrypts a message whatever the message is bound to.
    pub(super) readable: BTreeSet<usize>,
}

/// Tries every key of the key store on every part, and the secret that ids are derived from as well.
///
/// # Errors
/// The key store can't be read completely.
pub(super) async fn try_all(
    keys: &Keys,
    owner: &Owner,
    parts: &[&SealedPart],
    progress: &mut impl FnMut(ScanProgress),
) -> anyhow::Result<Trials> {
    let counts = keys.count().await?;
    let total = counts.iter().map(|master| master.keys).sum::<i64>().try_into()?;
    let (mut trials, mut after) = (Trials::default(), None);
    trials.try_one(&*keys.id_secret().await?, parts)?;
    loop {
        progress(ScanProgress { step: Step::Keys, done: trials.counts.keys, total });
        let page = keys.page_unwrapped(after.as_ref()).await?;
        let Some((last, _)) = page.last() else { return Ok(trials) };
        after = Some(last.clone());
        for (key_owner, key) in &page {
            trials.try_one(key, parts)?;
            trials.counts.is_there |= key_owner == owner;
        }
    }
}

impl Trials {
    fn try_one(&mut self, key: &DataKey, parts: &[&SealedPart]) -> anyhow::Result<()> {
        self.counts.keys += 1;
        self.counts.tries += u64::try_from(parts.len())?;
        let is_readable = |part: &SealedPart| part.is_opened_by(key) || part.key_id == Some(key.id());
        let readable = parts.iter().enumerate().filter(|(_, part)| is_readable(part)).map(|(n, _)| n);
        self.readable.extend(readable);
        Ok(())
    }
}
