//! A position in the log, as clients see it in `Log-Position` and `Read-After`.

use std::{fmt, str::FromStr};

/// The epoch of the first log that the read model was built from.
pub const FIRST_EPOCH: u32 = 1;
/// The highest possible epoch.
const LAST_EPOCH: u32 = i32::MAX.cast_unsigned();

/// Where a record is in the topic of user events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The partition.
    pub partition: u32,
    /// The record's offset in the partition.
    pub offset: i64,
}

/// A position together with its log. Topics that were deleted and recreated are another log, in
/// which the same offsets denote other records.
///
/// Its text is `<partition>:<offset>` in the first log and `<partition>:<offset>:<epoch>` in later
/// ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogPosition {
    /// Which log, counted from 1.
    pub epoch: u32,
    /// The position within it.
    pub at: Position,
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, at: Position { partition, offset } } = self;
        write!(f, "{partition}:{offset}")?;
        if *epoch == FIRST_EPOCH { Ok(()) } else { write!(f, ":{epoch}") }
    }
}

/// A text that is not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position is <partition>:<offset> or <partition>:<offset>:<epoch>, as Log-Position gave it")]
pub struct InvalidPosition;

impl FromStr for LogPosition {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let mut parts = text.split(':').map(number);
        let mut next = || parts.next().transpose();
        let (partition, offset, epoch) = (next()?, next()?, next()?);
        let rest = next()?;
        let partition = partition.and_then(|n| u32::try_from(n).ok()).ok_or(InvalidPosition)?;
        // The position after it must be valid too.
        let offset = offset.filter(|n| *n < i64::MAX).ok_or(InvalidPosition)?;
        let epoch = epoch.map_or(Ok(FIRST_EPOCH), u32::try_from).map_err(|_| InvalidPosition)?;
        let is_whole = rest.is_none() && (FIRST_EPOCH..=LAST_EPOCH).contains(&epoch);
        is_whole.then_some(Self { epoch, at: Position { partition, offset } }).ok_or(InvalidPosition)
    }
}

/// Digits only: no sign, no space.
fn number(text: &str) -> Result<i64, InvalidPosition> {
    let is_plain = text.bytes().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain).ok_or(InvalidPosition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position(partition: u32, offset: i64, epoch: u32) -> LogPosition {
        LogPosition { epoch, at: Position { partition, offset } }
    }

    #[test]
    fn the_first_log_is_not_named() {
        assert_eq!(position(11, 42, 1).to_string(), "11:42");
        assert_eq!(position(11, 42, 2).to_string(), "11:42:2");
        assert_eq!("11:42".parse(), Ok(position(11, 42, 1)));
        assert_eq!("11:42:1".parse(), Ok(position(11, 42, 1)));
        assert_eq!(
            "4294967295:9223372036854775806:2147483647".parse(),
            Ok(position(u32::MAX, i64::MAX - 1, LAST_EPOCH))
        );
    }

    #[test]
    fn anything_else_is_none() {
        for bad in [
            "",
            "1",
            "1:",
            ":1",
            "-1:1",
            "1:-1",
            "+1:1",
            "1: 1",
            " 1:1",
            "x1:1",
            "4294967296:1",
            "1:9223372036854775807",
            "1:1:",
            "1:1:0",
            "1:1:-2",
            "1:1:+2",
            "1:1:2:",
            "1:1:2:3",
            "1:1:2147483648",
            "1:1:18446744073709551617",
        ] {
            assert_eq!(bad.parse::<LogPosition>(), Err(InvalidPosition), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_prints(partition: u32, offset in 0..i64::MAX, epoch in FIRST_EPOCH..=LAST_EPOCH) {
            let position = position(partition, offset, epoch);
            prop_assert_eq!(position.to_string().parse(), Ok(position));
        }

        #[test]
        fn what_it_reads_names_the_same_place_when_printed(text in "[0-9:+ -]{0,24}") {
            if let Ok(position) = text.parse::<LogPosition>() {
                prop_assert_eq!(position.to_string().parse(), Ok(position));
            }
        }
    }
}
