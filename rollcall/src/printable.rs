//! Text that a terminal shows and does not obey.
//!
//! Much of what the verbs print was written by others: names of headers, types of events, errors of
//! servers. A control character in it could move the cursor, hide a line or change the clipboard.

use std::fmt::{self, Display, Write};

/// A text in which `\uXXXX` stands for each control character, except line ends and tabs. JSON
/// spells them in the same way, so JSON stays valid and means the same.
pub(crate) struct Printable<T>(pub(crate) T);

/// Like [`Printable`], on one line: what others wrote must not look like lines of our own.
pub(crate) struct OneLine<T>(pub(crate) T);

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping { out: f, keep: &['\n', '\t'] }, "{}", self.0)
    }
}

impl<T: Display> Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping { out: f, keep: &[] }, "{}", self.0)
    }
}

struct Escaping<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
    keep: &'static [char],
}

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_escaped = |c: &char| c.is_control() && !self.keep.contains(c);
        let mut rest = text;
        while let Some((at, control)) = rest.char_indices().find(|(_, c)| is_escaped(c)) {
            write!(self.out, "{}\\u{:04x}", &rest[..at], u32::from(control))?;
            rest = &rest[at + control.len_utf8()..];
        }
        self.out.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelled_out() {
        let text = "a\u{1b}[2J\u{9b}31mä\r\n\tb";
        assert_eq!(Printable(text).to_string(), "a\\u001b[2J\\u009b31mä\\u000d\n\tb");
        assert_eq!(OneLine(text).to_string(), "a\\u001b[2J\\u009b31mä\\u000d\\u000a\\u0009b");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "a\u{9b}": "\u{1b}\u{7f}\n" });
        let printed = Printable(format!("{value:#}")).to_string();
        assert!(!printed.contains(|c: char| c.is_control() && c != '\n'), "{printed:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
    }
}
