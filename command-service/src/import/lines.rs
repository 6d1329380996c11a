//! Reads lines of limited length. A longer line is skipped without being stored.

use std::io::{self, BufRead, ErrorKind};

/// A line without its line end.
pub(super) enum Line<'l> {
    Text(&'l [u8]),
    TooLong,
}

/// Reads lines one by one.
pub(super) struct Lines<R> {
    input: R,
    longest: usize,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R, longest: usize) -> Self {
        Self { input, longest, line: Vec::new(), number: 0, bytes: 0 }
    }

    /// Bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next line with its number, counted from 1. `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Line<'_>)>> {
        self.line.clear();
        let (mut length, mut is_end) = (0, false);
        while !is_end {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                break;
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let text = &chunk[..end.unwrap_or(chunk.len())];
            // Two bytes more than the limit are enough to detect a long line, even if the first of
            // them is a carriage return, which may or may not be part of the line end.
            let room = (self.longest + 2).saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            is_end = end.is_some();
            let used = text.len() + usize::from(is_end);
            self.input.consume(used);
            length += used;
        }
        self.bytes += length as u64;
        self.number += u64::from(length > 0);
        Ok(match self.line.strip_suffix(b"\r").unwrap_or(&self.line) {
            _ if length == 0 => None,
            line if line.len() > self.longest => Some((self.number, Line::TooLong)),
            line => Some((self.number, Line::Text(line))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn read(text: &str) -> Vec<(u64, Option<String>)> {
        // A buffer smaller than the lines, so that they arrive in pieces.
        let mut lines = Lines::new(BufReader::with_capacity(3, text.as_bytes()), 5);
        let mut read = Vec::new();
        while let Some((number, line)) = lines.next().unwrap() {
            let line = match line {
                Line::Text(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
                Line::TooLong => None,
            };
            read.push((number, line));
        }
        assert_eq!(lines.bytes(), text.len() as u64);
        read
    }

    #[test]
    fn lines_come_with_their_numbers() {
        let line = |number: u64, text: &str| (number, Some(text.to_owned()));
        assert_eq!(read(""), []);
        assert_eq!(read("a\n\nbcdef\r\nx"), [line(1, "a"), line(2, ""), line(3, "bcdef"), line(4, "x")]);
        assert_eq!(read("abcdefghijkl\nb\n"), [(1, None), line(2, "b")]);
        assert_eq!(read("abcdef"), [(1, None)]);
        assert_eq!(read("abcde\r"), [line(1, "abcde")]);
        assert_eq!(read("abcde\rfgh\nb"), [(1, None), line(2, "b")]);
        assert_eq!(read("abcdef\r\nb"), [(1, None), line(2, "b")]);
    }
}
