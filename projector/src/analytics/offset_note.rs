//! What a transaction notes beside each offset that it commits. The next session learns from it
//! which events may be in the topic already.

use std::{fmt, str::FromStr};

/// The note of one partition. Times are milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OffsetNote {
    /// The first offset of the transaction's records.
    pub(super) from: i64,
    /// When the transaction began.
    pub(super) at: i64,
    /// Since when events of these records may have been written: when the transaction began, or
    /// earlier if others have derived from them before.
    pub(super) since: i64,
    /// Whether `since` also holds for later records.
    pub(super) is_open: bool,
    /// The number in the transactional id.
    pub(super) by: i32,
}

impl fmt::Display for OffsetNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, at, since, is_open, by } = self;
        write!(f, "from {from} at {at} since {since} open {is_open} by {by}")
    }
}

impl FromStr for OffsetNote {
    type Err = ();

    /// Any other text is no note. An earlier release wrote none, and an operator's tool may write
    /// its own.
    fn from_str(text: &str) -> Result<Self, ()> {
        let words: Vec<&str> = text.split(' ').collect();
        let ["from", from, "at", at, "since", since, "open", is_open, "by", by] = words[..] else {
            return Err(());
        };
        let number = |text: &str| text.parse().map_err(drop);
        Ok(Self {
            from: number(from)?,
            at: number(at)?,
            since: number(since)?,
            is_open: is_open.parse().map_err(drop)?,
            by: by.parse().map_err(drop)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_as_it_was_written() {
        let note =
            OffsetNote { from: 7, at: 1_764_378_000_000, since: 1_764_377_000_000, is_open: true, by: 2 };
        assert_eq!(note.to_string().parse(), Ok(note));
        for text in ["", "from 7", "from 7 at x since 1 open true by 2", "somebody's own words for it all"] {
            assert_eq!(text.parse::<OffsetNote>(), Err(()), "{text}");
        }
    }
}
