//! Detects JSON text in an encoding other than UTF-8, or with a byte order mark. Editors and
//! spreadsheets write such files without showing it.

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Why the text's encoding is refused, if it is.
pub(super) fn refused(text: &[u8]) -> Option<&'static str> {
    if text.starts_with(BOM) {
        return Some("Begins with a byte order mark (BOM): save it as UTF-8 without one");
    }
    is_utf16(text).then_some("Is UTF-16: save it as UTF-8")
}

/// Whether a text looks like UTF-16, with or without a byte order mark. JSON begins with an ASCII
/// character.
#[must_use]
pub fn is_utf16(text: &[u8]) -> bool {
    let is_marked = matches!(text, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    is_marked || matches!(text, [a, b, ..] if (*a == 0) != (*b == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_utf_16_are_told_from_utf_8() {
        for text in [&b"\xff\xfe{\0"[..], b"\xfe\xff\0{", b"{\0}\0", b"\0{\0}"] {
            assert!(is_utf16(text), "{text:?}");
        }
        for text in [&b""[..], b"{", b"{}", b"\xef\xbb\xbf{}", b"\xc3\xa4"] {
            assert!(!is_utf16(text), "{text:?}");
        }
        assert!(refused(b"\xef\xbb\xbf{}").is_some_and(|said| said.contains("BOM")));
    }
}
