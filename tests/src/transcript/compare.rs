//! Compares what a command prints with what a document shows. Ids, times, digests and durations
//! differ from run to run, and so does the layout. `…` stands for any text.

/// The length of a uuid as text.
const UUID: usize = 36;

/// Whether the document shows what was printed.
pub(super) fn is_alike(shown: &str, printed: &str) -> bool {
    let (shown, printed) = (masked(shown), masked(printed));
    let mut parts = shown.split('…').map(str::trim);
    let Some(mut rest) = parts.next().and_then(|first| printed.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// What is wrong, in words.
pub(super) fn difference(command: &str, shown: &str, printed: &str) -> String {
    format!(
        "the document shows something else than `{command}` prints now. UPDATE_TRANSCRIPTS=1 corrects the document.\n\
         the document:\n{shown}\nprinted:\n{printed}\ncompared:\n{}\n{}",
        masked(shown),
        masked(printed)
    )
}

/// The text in one line, with marks in place of what varies.
fn masked(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(of_word).collect();
    words.join(" ")
}

/// A word with marks in place of its parts that vary.
fn of_word(word: &str) -> String {
    let trimmed = word.trim_end_matches([',', '.', ';']);
    if is_log_id(trimmed) {
        return format!("LOG{}", &word[trimmed.len()..]);
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    let mut masked = String::new();
    let mut rest = word;
    while let Some(start) = rest.find(is_part) {
        let end = rest[start..].find(|c| !is_part(c)).map_or(rest.len(), |length| start + length);
        masked.push_str(&rest[..start]);
        masked.push_str(&of_part(&rest[start..end]));
        rest = &rest[end..];
    }
    masked + rest
}

fn of_part(part: &str) -> String {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    // Topics of a test have a prefix, and those of the document have none.
    let part = match part.split_once('.') {
        Some((prefix, topic)) if prefix.len() == 13 && prefix.strip_prefix('d').is_some_and(is_hex) => topic,
        _ => part,
    };
    let trimmed = part.trim_end_matches(['.', ':', '-']);
    let mark = match trimmed {
        text if is_uuid(text) => "ID",
        text if text.len() > 19 && text.starts_with("20") && text.as_bytes()[10] == b'T' => "TIME",
        text if text.starts_with("sha256:") => "DIGEST",
        text if text.len() == 32 && is_hex(text) => "DIGEST",
        text if text.strip_prefix("file-").is_some_and(is_hex) => "MASTER",
        text if is_decimal(text) => "N",
        _ => return part.to_owned(),
    };
    format!("{mark}{}", &part[trimmed.len()..])
}

fn is_uuid(text: &str) -> bool {
    let is_at = |(at, byte): (usize, u8)| {
        if [8, 13, 18, 23].contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() }
    };
    text.len() == UUID && text.bytes().enumerate().all(is_at)
}

/// Whether it is the id of a topic: 22 characters of base64, rather than a word of that length.
fn is_log_id(text: &str) -> bool {
    let count = |is: fn(&char) -> bool| text.chars().filter(is).count();
    let is_mixed = count(char::is_ascii_uppercase) > 1 && count(char::is_ascii_lowercase) > 1;
    text.len() == 22 && is_mixed && !text.contains('.')
}

/// A number with a fraction: a duration.
fn is_decimal(text: &str) -> bool {
    text.split_once('.').is_some_and(|(whole, fraction)| {
        [whole, fraction]
            .iter()
            .all(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_does_not_count() {
        let shown = "{\"id\":\"8bc40040-2d0d-4cee-a4ed-e63b475b88c2\"} after 0.7 s\n  since 2026-11-29T01:41:09.600Z.";
        let printed = "{\"id\":\"00000000-2d0d-4cee-a4ed-e63b475b88c2\"}  after 12.34 s since 2027-01-01T00:00:00.000Z.";
        assert!(is_alike(shown, printed));
        assert!(is_alike(
            "LOG QqgLaHiJRRqmE3luC4HnxQ, file-0135ab5cde27",
            "LOG AAgLaHiJRRqmE3luC4HnxQ, file-ffffffffffff"
        ));
    }

    #[test]
    fn counts_and_words_do() {
        assert!(!is_alike("3 records", "4 records"));
        assert!(!is_alike("a b", "a b c"));
        assert!(is_alike("users.events", "d37badd9bc245.users.events"));
        assert!(!is_alike("users.events", "users.credentials"));
    }

    #[test]
    fn an_ellipsis_is_any_text() {
        assert!(is_alike("a … d", "a b c d"));
        assert!(is_alike("…c…", "a b c d"));
        assert!(is_alike("a …", "a"));
        assert!(!is_alike("a … e", "a b c d"));
        assert!(!is_alike("… x …", "a b c d"));
    }
}
