//! A place in the log, as clients carry it: `Log-Position` and `Read-After`.

use std::{fmt, str::FromStr};

/// `<partition>:<offset>` of a record in the topic of user facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The partition.
    pub partition: u32,
    /// The record's offset in it.
    pub offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

/// A text that is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position is <partition>:<offset>, as Log-Position gave it")]
pub struct InvalidPosition;

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let (partition, offset) = text.split_once(':').ok_or(InvalidPosition)?;
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|c| c.is_ascii_digit());
        if !digits(partition) || !digits(offset) {
            return Err(InvalidPosition);
        }
        let partition = partition.parse().map_err(|_| InvalidPosition)?;
        let offset: i64 = offset.parse().map_err(|_| InvalidPosition)?;
        // The position after it must be a number too.
        if offset == i64::MAX { Err(InvalidPosition) } else { Ok(Self { partition, offset }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints_and_nothing_else() {
        let position = Position { partition: 11, offset: 42 };
        assert_eq!(position.to_string().parse(), Ok(position));
        for bad in [
            "",
            "1",
            "1:",
            ":1",
            "-1:1",
            "1:-1",
            "+1:1",
            "1:1:1",
            "1: 1",
            "4294967296:1",
            "1:9223372036854775807",
        ] {
            assert_eq!(bad.parse::<Position>(), Err(InvalidPosition), "{bad}");
        }
    }
}
