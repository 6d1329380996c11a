//! A part of all record keys, by their hash.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The number of hashes that are told apart.
const ALL: u64 = 1 << 32;

/// The keys with these hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyPart {
    from: u64,
    to: u64,
}

impl KeyPart {
    /// The first of `parts` parts.
    pub(super) fn first(parts: u64) -> Self {
        Self { from: 0, to: (ALL / parts.max(1)).max(1) }
    }

    /// Whether a key is in this part. The same in every run of this build.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        (self.from..self.to).contains(&(hasher.finish() % ALL))
    }

    /// Whether nothing comes after it.
    pub(super) fn is_last(&self) -> bool {
        self.to >= ALL
    }

    /// The part after it, of the same size.
    pub(super) fn next(&self) -> Self {
        Self { from: self.to, to: (self.to + (self.to - self.from)).min(ALL) }
    }

    /// The first half of it. `None` if it can't be divided.
    pub(super) fn half(&self) -> Option<Self> {
        let to = self.from + (self.to - self.from) / 2;
        (to > self.from).then_some(Self { from: self.from, to })
    }

    /// How many parts of this size there are.
    pub(super) fn parts(&self) -> u64 {
        ALL.div_ceil(self.to - self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_one_part() {
        let mut parts = vec![KeyPart::first(3)];
        while let Some(last) = parts.last().filter(|last| !last.is_last()) {
            parts.push(if parts.len() == 2 { last.next().half().unwrap() } else { last.next() });
        }
        for key in 0..1_000_u32 {
            let of = parts.iter().filter(|part| part.has(&key.to_be_bytes())).count();
            assert_eq!(of, 1, "{key} in {parts:?}");
        }
        assert_eq!(KeyPart::first(4).parts(), 4);
        assert_eq!(KeyPart::first(u64::MAX).half(), None);
    }
}
