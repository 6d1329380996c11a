//! The link to an identity provider, validated on construction.

use events_schema::personal::AuthenticationProvider;
use uuid::Uuid;

/// An invalid member of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadLink {
    /// The member's name.
    pub member: &'static str,
    /// What is wrong. It never repeats the value.
    pub msg: &'static str,
}

/// Validates the members of a link.
///
/// # Errors
/// The invalid members.
pub fn link(
    provider_id: Option<String>,
    url: Option<String>,
    subject_id: Option<String>,
) -> Result<AuthenticationProvider, Vec<BadLink>> {
    let mut bad = Vec::new();
    match subject_id.as_deref() {
        None => bad.push(BadLink { member: "subjectId", msg: "Is required" }),
        Some("") => bad.push(BadLink { member: "subjectId", msg: "Must not be empty" }),
        Some(_) => {}
    }
    let provider_id = provider_id.map(|text| hyphenated(&text));
    if provider_id == Some(None) {
        bad.push(BadLink { member: "providerId", msg: "Must be a uuid" });
    }
    if url.as_deref().is_some_and(|url| !is_http_url(url)) {
        bad.push(BadLink { member: "url", msg: "Must be an absolute http or https URL" });
    }
    match subject_id {
        Some(subject_id) if bad.is_empty() => {
            Ok(AuthenticationProvider { provider_id: provider_id.flatten(), url, subject_id })
        }
        _ => Err(bad),
    }
}

/// Only the spelling with hyphens, which has 36 characters.
fn hyphenated(text: &str) -> Option<Uuid> {
    text.parse().ok().filter(|_| text.len() == 36)
}

/// Whether a text has a scheme, `://` and a host, and neither spaces nor control characters.
fn is_http_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
        && !host.is_empty()
        && !host.starts_with(':')
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(provider_id: Option<&str>, url: Option<&str>, subject_id: Option<&str>) -> Vec<&'static str> {
        let bad = link(provider_id.map(Into::into), url.map(Into::into), subject_id.map(Into::into));
        bad.unwrap_err().iter().map(|bad| bad.member).collect()
    }

    #[test]
    fn a_subject_is_required_and_enough() {
        let made = link(None, None, Some("example-university-oauth2|123456789".into())).unwrap();
        assert_eq!((made.provider_id, made.url), (None, None));
        assert_eq!(refused(None, None, Some("")), ["subjectId"]);
        assert_eq!(refused(None, None, None), ["subjectId"]);
        assert_eq!(refused(Some("x"), Some("x"), None), ["subjectId", "providerId", "url"]);
    }

    #[test]
    fn a_provider_is_a_uuid_in_any_case() {
        let made = link(Some("C3E2AB9C-4B3A-4F7E-9A43-8A4A1F1F9F10".into()), None, Some("s".into())).unwrap();
        assert_eq!(made.provider_id.unwrap().to_string(), "c3e2ab9c-4b3a-4f7e-9a43-8a4a1f1f9f10");
        for bad in ["", "x", "c3e2ab9c4b3a4f7e9a438a4a1f1f9f10", "{c3e2ab9c-4b3a-4f7e-9a43-8a4a1f1f9f10}"] {
            assert_eq!(refused(Some(bad), None, Some("s")), ["providerId"]);
        }
    }

    #[test]
    fn a_url_is_absolute_and_plain() {
        for good in [
            "https://idp.example.edu",
            "HTTP://localhost:8080/a?b#c",
            "https://ä.example",
            "https://u@h",
            "https://[::1]:1/",
        ] {
            assert!(is_http_url(good), "{good}");
        }
        for bad in [
            "",
            "x",
            "idp.example.edu",
            "//h",
            "https:/h",
            "https://",
            "https:///p",
            "https://:1",
            "https://u@",
            "ftp://h",
            "https://a b",
            "https://h/\u{1}",
            "https://h\n",
            " https://h",
            "javascript:alert(1)",
            "https://\\h",
        ] {
            assert!(!is_http_url(bad), "{bad}");
        }
    }
}
