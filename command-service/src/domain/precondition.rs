//! `If-Match`: the versions of which one must still be the present one.

/// A parsed `If-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// `*`: any version, as long as there is one.
    Any,
    /// The strong tags of the list, without their quotes. Weak ones are left out: they never match here.
    OneOf(Vec<String>),
}

/// A text that is no `If-Match`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Precondition {
    /// Reads the header's value (several headers joined by commas).
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        if text.trim_matches(BLANK) == "*" {
            return Ok(Self::Any);
        }
        let mut rest = text.trim_start_matches(SEPARATOR);
        if rest.is_empty() {
            return Err(Malformed);
        }
        let mut tags = Vec::new();
        while !rest.is_empty() {
            let (tag, after) = entity_tag(rest)?;
            tags.extend(tag.map(str::to_owned));
            rest = next(after)?;
        }
        Ok(Self::OneOf(tags))
    }

    /// Whether the user may be changed at this version.
    pub(crate) fn allows(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|tag| *tag == version.to_string()),
        }
    }
}

const BLANK: [char; 2] = [' ', '\t'];
/// An empty item of a list is tolerated, as RFC 9110 asks of a recipient.
const SEPARATOR: [char; 3] = [' ', '\t', ','];

/// One tag (`None`: a weak one) and what follows it.
fn entity_tag(text: &str) -> Result<(Option<&str>, &str), Malformed> {
    let strong = text.strip_prefix("W/");
    let opened = strong.unwrap_or(text).strip_prefix('"').ok_or(Malformed)?;
    let (tag, after) = opened.split_once('"').ok_or(Malformed)?;
    let is_plain = tag.chars().all(|c| c > ' ' && c != '\u{7f}');
    if is_plain { Ok((strong.is_none().then_some(tag), after)) } else { Err(Malformed) }
}

/// The rest of the list after a tag: nothing, or a comma and more.
fn next(after: &str) -> Result<&str, Malformed> {
    let after = after.trim_start_matches(BLANK);
    if after.is_empty() || after.starts_with(',') {
        Ok(after.trim_start_matches(SEPARATOR))
    } else {
        Err(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn allows(text: &str, version: u64) -> bool {
        Precondition::parse(text).unwrap().allows(version)
    }

    #[test]
    fn a_strong_tag_matches_its_version_alone() {
        assert!(allows("\"7\"", 7) && !allows("\"7\"", 8));
        assert!(allows("*", 1) && allows(" * ", 9));
        assert!(allows("\"1\",\"2\"", 2) && allows(" , \"1\" ,, \"2\", ", 1));
        for never in ["W/\"7\"", "\"07\"", "\"x\"", "\"\"", "\"7,\"", "\"W/7\""] {
            assert!(!allows(never, 7), "{never}");
        }
        assert!(allows("W/\"7\", \"7\"", 7));
    }

    #[test]
    fn what_is_not_quoted_is_refused() {
        for bad in [
            "",
            " ",
            ",",
            "7",
            "'7'",
            "\"7",
            "7\"",
            "\"7\" \"8\"",
            "\"7\"8",
            "*, \"7\"",
            "w/\"7\"",
            "W/7",
            "\"7 8\"",
            "**",
        ] {
            assert_eq!(Precondition::parse(bad), Err(Malformed), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = Precondition::parse(&text);
        }

        #[test]
        fn a_list_allows_exactly_its_members(versions in prop::collection::vec(1..20_u64, 1..6), asked in 1..20_u64) {
            let list: Vec<_> = versions.iter().map(|version| format!("\"{version}\"")).collect();
            prop_assert_eq!(allows(&list.join(", "), asked), versions.contains(&asked));
        }
    }
}
