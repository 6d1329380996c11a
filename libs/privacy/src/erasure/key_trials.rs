//! Every key that there is, tried on what is sealed: a proof does not believe the ids that events name.

use super::{content::SealedPart, report::KeysLook};
use crate::progress::{LookProgress, Step};
use key_store::{DataKey, Keys, Owner};
use std::collections::BTreeSet;

/// What came of it.
#[derive(Default)]
pub(super) struct Tried {
    /// How much was tried.
    pub(super) look: KeysLook,
    /// Which of the parts, by number, a key opens, or belong to a key that exists: a cipher's key reads a message whatever it is bound to.
    pub(super) opened: BTreeSet<usize>,
}

/// Tries every key of the key store on every part, and what ids are derived under as well.
///
/// # Errors
/// The key store can't be read as a whole.
pub(super) async fn try_all(
    keys: &Keys,
    owner: &Owner,
    parts: &[&SealedPart],
    progress: &mut impl FnMut(LookProgress),
) -> anyhow::Result<Tried> {
    let counts = keys.count().await?;
    let total = counts.iter().map(|master| master.keys).sum::<i64>().try_into()?;
    let (mut tried, mut after) = (Tried::default(), None);
    tried.try_one(&*keys.id_secret().await?, parts)?;
    loop {
        progress(LookProgress { step: Step::Keys, done: tried.look.keys, total });
        let page = keys.page_unwrapped(after.as_ref()).await?;
        let Some((last, _)) = page.last() else { return Ok(tried) };
        after = Some(last.clone());
        for (of, key) in &page {
            tried.try_one(key, parts)?;
            tried.look.is_there |= of == owner;
        }
    }
}

impl Tried {
    fn try_one(&mut self, key: &DataKey, parts: &[&SealedPart]) -> anyhow::Result<()> {
        self.look.keys += 1;
        self.look.tries += u64::try_from(parts.len())?;
        let opens = |part: &SealedPart| part.is_opened_by(key) || part.key_id == Some(key.id());
        let opened = parts.iter().enumerate().filter(|(_, part)| opens(part)).map(|(n, _)| n);
        self.opened.extend(opened);
        Ok(())
    }
}
