//! PostgreSQL's binary format of COPY: a signature, rows of fields with their lengths, and an end.

use std::collections::BTreeSet;
use time::OffsetDateTime;
use uuid::Uuid;

/// The signature, no flags, and no extension.
const SIGNATURE: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// The number of fields that ends the rows.
const END: i16 = -1;
/// The length of a field that is null.
const NULL: i32 = -1;
/// PostgreSQL's number of the type `bigint`.
const BIGINT: i32 = 20;
/// PostgreSQL counts microseconds from 2000-01-01.
const EPOCH_SECONDS: i64 = 946_684_800;

/// Rows in that format.
pub(super) struct CopyFormat(Vec<u8>);

impl CopyFormat {
    pub(super) fn new() -> Self {
        Self(SIGNATURE.to_vec())
    }

    /// Begins a row.
    pub(super) fn row(&mut self) -> Row<'_> {
        let start = self.0.len();
        self.0.extend([0; 2]);
        Row { bytes: &mut self.0, start, fields: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes the rows so far.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    /// The rest, with the end.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.extend(END.to_be_bytes());
        self.0
    }
}

/// A row that is being written. It counts its fields itself.
pub(super) struct Row<'b> {
    bytes: &'b mut Vec<u8>,
    start: usize,
    fields: i16,
}

impl Row<'_> {
    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    pub(super) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.field(|bytes| bytes.extend(value))
    }

    pub(super) fn uuid(&mut self, value: Uuid) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    pub(super) fn bool(&mut self, value: bool) -> &mut Self {
        self.bytes(&[u8::from(value)])
    }

    pub(super) fn int(&mut self, value: i32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn big(&mut self, value: i64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn time(&mut self, value: Option<OffsetDateTime>) -> &mut Self {
        self.opt(value, |row, time| {
            let micros = i128::from(EPOCH_SECONDS) * 1_000_000;
            let since = time.unix_timestamp_nanos() / 1_000 - micros;
            row.big(i64::try_from(since).unwrap_or(i64::MAX))
        })
    }

    /// JSON, in version 1 of `jsonb`.
    pub(super) fn json(&mut self, text: &str) -> &mut Self {
        self.field(|bytes| {
            bytes.push(1);
            bytes.extend(text.as_bytes());
        })
    }

    /// An array of numbers.
    pub(super) fn bigs(&mut self, values: &BTreeSet<i64>) -> &mut Self {
        self.field(|bytes| {
            let dimensions = i32::from(!values.is_empty());
            for number in [dimensions, 0, BIGINT] {
                bytes.extend(number.to_be_bytes());
            }
            if !values.is_empty() {
                // The length, and the index of the first one.
                bytes.extend(length(values.len()).to_be_bytes());
                bytes.extend(1_i32.to_be_bytes());
            }
            for value in values {
                bytes.extend(8_i32.to_be_bytes());
                bytes.extend(value.to_be_bytes());
            }
        })
    }

    /// A field that may be null.
    pub(super) fn opt<T>(
        &mut self,
        value: Option<T>,
        push: impl FnOnce(&mut Self, T) -> &mut Self,
    ) -> &mut Self {
        match value {
            Some(value) => push(self, value),
            None => {
                self.count();
                self.bytes.extend(NULL.to_be_bytes());
                self
            }
        }
    }

    fn field(&mut self, push: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        self.count();
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        push(self.bytes);
        let written = length(self.bytes.len() - start - 4);
        self.bytes[start..start + 4].copy_from_slice(&written.to_be_bytes());
        self
    }

    fn count(&mut self) {
        self.fields += 1;
        self.bytes[self.start..self.start + 2].copy_from_slice(&self.fields.to_be_bytes());
    }
}

/// A field is smaller than 2 GiB, as PostgreSQL demands.
fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_counts_its_fields() {
        let mut format = CopyFormat::new();
        format.row().text("ä").opt(None, Row::int).big(-2);
        let bytes = format.end();
        let expected: Vec<u8> = [
            &SIGNATURE[..],
            &[0, 3],
            &[0, 0, 0, 2, 0xc3, 0xa4],
            &[0xff; 4],
            &[0, 0, 0, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe],
            &[0xff, 0xff],
        ]
        .concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn times_count_from_the_year_2000() {
        let mut format = CopyFormat::new();
        format.row().time(OffsetDateTime::from_unix_timestamp(EPOCH_SECONDS + 1).ok());
        let bytes = format.end();
        assert_eq!(bytes[SIGNATURE.len() + 6..SIGNATURE.len() + 14], 1_000_000_i64.to_be_bytes());
    }
}
