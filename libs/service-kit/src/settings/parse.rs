//! How single values are read; `None` is "not what was wanted".

use events_schema::analytics::Level;
use reqwest::Url;
use std::time::Duration;

/// `500ms`, `5s` or `2m`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => number,
        "s" => number.checked_mul(1_000)?,
        "m" => number.checked_mul(60_000)?,
        _ => return None,
    };
    // An upper bound, so that deadlines can be reckoned without overflow.
    (1..=3_600_000).contains(&millis).then(|| Duration::from_millis(millis))
}

/// A URL of one of the schemes that can be called, as it was given but without a slash at its end.
pub(super) fn url(text: &str, schemes: &[&str]) -> Option<String> {
    let url = Url::parse(text).ok()?;
    schemes.contains(&url.scheme()).then(|| text.trim_end_matches('/').to_owned())
}

/// An http(s) URL with a host.
pub(super) fn http_url(text: &str) -> Option<String> {
    let parsed = Url::parse(text).ok()?;
    let is_plain = parsed.has_host() && parsed.fragment().is_none();
    if is_plain { url(text, &["http", "https"]) } else { None }
}

/// A base URL: an http(s) URL that a path can be put behind.
pub(super) fn base_url(text: &str) -> Option<String> {
    http_url(text).filter(|url| !url.contains('?'))
}

/// `host:port`, several parted by commas.
pub(super) fn brokers(text: &str) -> Option<String> {
    let is_broker = |broker: &str| match broker.trim().rsplit_once(':') {
        Some((host, port)) => !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0),
        None => false,
    };
    text.split(',').all(is_broker).then(|| text.to_owned())
}

/// What Kafka allows in a topic's name, short enough to leave room for the name itself (249 in all).
pub(super) fn topic_prefix(text: &str) -> Option<String> {
    let is_legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    (text.len() <= 200 && text.bytes().all(is_legal)).then(|| text.to_owned())
}

/// A path in a URL that needs no escaping, without slashes at its ends.
pub(super) fn path(text: &str) -> Option<String> {
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    text.split('/').all(|part| !part.is_empty() && part.bytes().all(is_plain)).then(|| text.to_owned())
}

/// 1, 2 or 3.
pub(super) fn level(text: &str) -> Option<Level> {
    match text {
        "1" => Some(Level::Metadata),
        "2" => Some(Level::NonSensitive),
        "3" => Some(Level::Full),
        _ => None,
    }
}

/// Some text that is no blank.
pub(super) fn word(text: &str) -> Option<String> {
    (!text.trim().is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_bounds() {
        let millis = |text| duration(text).map(|duration| duration.as_millis());
        assert_eq!((millis("500ms"), millis("5s"), millis("2m")), (Some(500), Some(5_000), Some(120_000)));
        for bad in ["", "5", "s", "-1s", "1.5s", "5 s", "5S", "0s", "61m", "99999999999999999999s", "5h"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn urls_are_of_the_wanted_scheme() {
        assert_eq!(base_url("https://users.example/").as_deref(), Some("https://users.example"));
        for bad in
            ["users.example", "ftp://users.example", "http://", "http://a/?b", "http://a/#b", "mailto:a@b"]
        {
            assert_eq!(base_url(bad), None, "{bad}");
        }
    }

    #[test]
    fn brokers_are_hosts_with_ports() {
        for good in ["a:9092", "a:1,b:2", "[::1]:9092", "SASL_SSL://a:9093", "a:1, b:2"] {
            assert!(brokers(good).is_some(), "{good}");
        }
        for bad in ["a", "a:", ":1", "a:1,", "a:x", "a:0", "a:65536"] {
            assert_eq!(brokers(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_prefix_holds_what_kafka_allows() {
        assert!(topic_prefix("").is_some() && topic_prefix("dev.A_9-").is_some());
        assert!(
            topic_prefix("a b").is_none()
                && topic_prefix("ä").is_none()
                && topic_prefix(&"a".repeat(201)).is_none()
        );
    }
}
