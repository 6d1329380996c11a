//! `If-Match` and `If-None-Match`: conditions on the user's current version.

/// The conditions of a write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// The version must be one of these.
    pub if_match: Option<Tags>,
    /// The version must be none of these.
    pub if_none_match: Option<Tags>,
}

/// A parsed header value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tags {
    /// `*`: any version of an existing user.
    Any,
    /// A list of tags.
    OneOf(Vec<Tag>),
}

/// An entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The text between the quotes.
    opaque: String,
    is_weak: bool,
}

/// The header value is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl Precondition {
    /// Whether the user may be changed at this version. By RFC 9110, tags of `If-Match` are
    /// compared strongly, so a weak tag never matches. Tags of `If-None-Match` are compared weakly.
    pub fn allows(&self, version: u64) -> bool {
        let is_named = self.if_match.as_ref().is_none_or(|tags| tags.matches(version, |tag| !tag.is_weak));
        let is_excluded = self.if_none_match.as_ref().is_some_and(|tags| tags.matches(version, |_| true));
        is_named && !is_excluded
    }
}

impl Tags {
    /// Parses a header value. Join repeated headers with commas first.
    ///
    /// # Errors
    /// It is neither `*` nor a list of entity tags.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
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
            tags.push(tag);
            rest = next(after)?;
        }
        Ok(Self::OneOf(tags))
    }

    fn matches(&self, version: u64, counts: fn(&Tag) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => {
                tags.iter().filter(|tag| counts(tag)).any(|tag| tag.opaque == version.to_string())
            }
        }
    }
}

const BLANK: [char; 2] = [' ', '\t'];
/// Empty list items are ignored, as RFC 9110 requires of a recipient.
const SEPARATOR: [char; 3] = [' ', '\t', ','];

/// Parses one tag and returns it with the rest of the text.
fn entity_tag(text: &str) -> Result<(Tag, &str), Malformed> {
    let weak = text.strip_prefix("W/");
    let opened = weak.unwrap_or(text).strip_prefix('"').ok_or(Malformed)?;
    let (opaque, after) = opened.split_once('"').ok_or(Malformed)?;
    let is_plain = opaque.chars().all(|c| c > ' ' && c != '\u{7f}');
    let tag = Tag { opaque: opaque.to_owned(), is_weak: weak.is_some() };
    if is_plain { Ok((tag, after)) } else { Err(Malformed) }
}

/// Skips the comma after a tag and returns the rest of the list.
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
        Precondition { if_match: Some(Tags::parse(text).unwrap()), if_none_match: None }.allows(version)
    }

    #[track_caller]
    fn excludes(text: &str, version: u64) -> bool {
        !Precondition { if_match: None, if_none_match: Some(Tags::parse(text).unwrap()) }.allows(version)
    }

    #[test]
    fn if_none_match_excludes_what_it_names() {
        assert!(excludes("*", 1) && excludes("\"7\"", 7) && excludes("\"1\", W/\"7\"", 7));
        assert!(!excludes("\"7\"", 8) && !excludes("\"07\"", 7));
        let both = |if_match, if_none_match| {
            let tags = |text| Some(Tags::parse(text).unwrap());
            Precondition { if_match: tags(if_match), if_none_match: tags(if_none_match) }.allows(7)
        };
        assert!(both("\"7\"", "\"6\"") && !both("\"7\"", "\"7\"") && !both("\"6\"", "\"5\""));
        assert!(Precondition::default().allows(7));
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
            assert_eq!(Tags::parse(bad), Err(Malformed), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = Tags::parse(&text);
        }

        #[test]
        fn a_list_allows_exactly_its_members(versions in prop::collection::vec(1..20_u64, 1..6), asked in 1..20_u64) {
            let list: Vec<_> = versions.iter().map(|version| format!("\"{version}\"")).collect();
            prop_assert_eq!(allows(&list.join(", "), asked), versions.contains(&asked));
        }
    }
}
