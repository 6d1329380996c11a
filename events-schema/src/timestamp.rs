//! Times in the format of the log and the API: RFC 3339, UTC, milliseconds.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{borrow::Cow, fmt, str::FromStr};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// A point in time with millisecond precision, printed as `2020-08-25T06:46:09.510Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(OffsetDateTime);

/// A text that is not an RFC 3339 time, or is out of range in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time")]
pub struct InvalidTimestamp;

/// Truncates `at` to milliseconds, in UTC: the precision of the log. A time at the edge of the
/// calendar that has no date in UTC keeps its local date.
pub fn millis(at: OffsetDateTime) -> Timestamp {
    let at = at.checked_to_offset(UtcOffset::UTC).unwrap_or_else(|| at.replace_offset(UtcOffset::UTC));
    Timestamp(at.replace_millisecond(at.millisecond()).unwrap_or(at))
}

impl Timestamp {
    /// The time itself, in UTC.
    pub fn get(self) -> OffsetDateTime {
        self.0
    }

    /// Milliseconds since the Unix epoch.
    pub fn unix_millis(self) -> i64 {
        self.0.unix_timestamp() * 1000 + i64::from(self.0.millisecond())
    }

    /// Converts milliseconds since the Unix epoch, such as Kafka's record timestamps.
    pub fn from_unix_millis(at: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000).ok().map(millis)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl Timestamp {
    /// Digit by digit. Each request prints several times, and seven numbers in a `write!` were a
    /// sixth of the time that an analytic event takes to encode.
    fn text(self) -> String {
        let t = self.0;
        let mut text = String::with_capacity("2020-08-25T06:46:09.510Z".len());
        if t.year() < 0 {
            text.push('-');
        }
        push_digits(&mut text, t.year().unsigned_abs(), 4);
        for (separator, value) in [
            ('-', u8::from(t.month())),
            ('-', t.day()),
            ('T', t.hour()),
            (':', t.minute()),
            (':', t.second()),
        ] {
            text.push(separator);
            push_digits(&mut text, u32::from(value), 2);
        }
        text.push('.');
        push_digits(&mut text, u32::from(t.millisecond()), 3);
        text.push('Z');
        text
    }
}

/// Appends the last `count` digits of a number.
fn push_digits(text: &mut String, number: u32, count: u32) {
    for place in (0..count).rev() {
        let digit = number / 10_u32.pow(place) % 10;
        text.push(char::from_digit(digit, 10).unwrap_or_default());
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTimestamp)?;
        let at = at.checked_to_offset(UtcOffset::UTC).filter(|at| (0..=9999).contains(&at.year()));
        at.map(millis).ok_or(InvalidTimestamp)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom("not an RFC 3339 time"))
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_three_digits_and_z_whatever_came_in() {
        let at: Timestamp = "2020-08-25T08:46:09.51099+02:00".parse().unwrap();
        assert_eq!(at.to_string(), "2020-08-25T06:46:09.510Z");
        assert_eq!(Timestamp::from_unix_millis(at.unix_millis()), Some(at));
        for text in ["0001-01-01T00:00:00.001Z", "1999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.090Z"] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_utc_has_no_date_for_is_refused() {
        for edge in ["9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59", "today"] {
            assert_eq!(edge.parse::<Timestamp>(), Err(InvalidTimestamp), "{edge}");
        }
    }
}
