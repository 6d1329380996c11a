//! Parsers for single values. `None`: the text is not valid.

use super::SettingsError;
use events_schema::analytics::Level;
use reqwest::Url;
use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

/// The form of a value: what it must be, for the error, and how it is parsed.
pub(super) struct Form<T> {
    wanted: &'static str,
    parse: fn(&str) -> Option<T>,
}

impl<T> Form<T> {
    /// Parses the value of the variable `name`.
    pub(super) fn read(&self, name: &str, text: &str) -> Result<T, SettingsError> {
        // The value stays out of the message: it could be a password.
        (self.parse)(text).ok_or_else(|| SettingsError::new(name, format!("must be {}", self.wanted)))
    }
}

pub(super) const TEXT: Form<String> = Form { wanted: "some text", parse: word };
pub(super) const PATH: Form<String> = Form { wanted: "a path", parse: word };
pub(super) const HTTP_URL: Form<String> = Form { wanted: "an http or https URL", parse: http_url };
pub(super) const BASE_URL: Form<String> = Form { wanted: "an http or https URL", parse: base_url };
pub(super) const POSTGRES_URL: Form<String> =
    Form { wanted: "a postgres:// URL", parse: |text| url(text, &["postgres", "postgresql"]) };
pub(super) const REDIS_URL: Form<String> = Form {
    wanted: "a redis:// or rediss:// URL",
    parse: |text| url(text, &["redis", "rediss", "unix", "redis+unix"]),
};
pub(super) const BROKERS: Form<String> =
    Form { wanted: "host:port, several separated by commas", parse: brokers };
pub(super) const ADDR: Form<SocketAddr> =
    Form { wanted: "an address and a port such as 127.0.0.1:8080", parse: |text| text.parse().ok() };
pub(super) const PORT: Form<u16> =
    Form { wanted: "a port, 1 to 65535", parse: |text| text.parse().ok().filter(|port| *port > 0) };
pub(super) const PARTITIONS: Form<u32> = Form {
    wanted: "a number, 1 to 1000",
    parse: |text| text.parse().ok().filter(|count| (1..=1000).contains(count)),
};
pub(super) const RATE: Form<NonZeroU32> =
    Form { wanted: "a number of at least 1", parse: |text| text.parse().ok() };
pub(super) const TOPIC_PREFIX: Form<String> =
    Form { wanted: "at most 200 characters of A-Z a-z 0-9 . _ -", parse: topic_prefix };
pub(super) const DURATION: Form<Duration> =
    Form { wanted: "a duration such as 500ms, 5s or 2m, at most an hour", parse: duration };
pub(super) const LEVEL: Form<Level> = Form { wanted: "1, 2 or 3", parse: level };
pub(super) const ORIGINS: Form<Vec<String>> =
    Form { wanted: "* or origins such as https://app.example, separated by commas", parse: origins };
pub(super) const LOG_FILTER: Form<String> =
    Form { wanted: "a filter such as info or info,projector=debug", parse: crate::telemetry::checked };
pub(super) const VAULT_MOUNT: Form<String> = Form { wanted: "letters, digits, - _ . and /", parse: path };
pub(super) const VAULT_KEY: Form<String> =
    Form { wanted: "letters, digits, - _ and .", parse: |text| path(text).filter(|key| !key.contains('/')) };

/// `500ms`, `5s` or `2m`.
fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => number,
        "s" => number.checked_mul(1_000)?,
        "m" => number.checked_mul(60_000)?,
        _ => return None,
    };
    // An upper limit, so that deadlines can be computed without overflow.
    (1..=3_600_000).contains(&millis).then(|| Duration::from_millis(millis))
}

/// A URL with one of the given schemes, without a trailing slash.
fn url(text: &str, schemes: &[&str]) -> Option<String> {
    let url = Url::parse(text).ok()?;
    schemes.contains(&url.scheme()).then(|| text.trim_end_matches('/').to_owned())
}

/// An http(s) URL with a host.
fn http_url(text: &str) -> Option<String> {
    let parsed = Url::parse(text).ok()?;
    let is_plain = parsed.has_host() && parsed.fragment().is_none();
    if is_plain { url(text, &["http", "https"]) } else { None }
}

/// A base URL: an http(s) URL to which a path can be appended.
fn base_url(text: &str) -> Option<String> {
    http_url(text).filter(|url| !url.contains('?'))
}

/// `*`, or origins as a browser sends them, several separated by commas.
fn origins(text: &str) -> Option<Vec<String>> {
    let is_origin = |text: &str| Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text);
    let origins: Vec<_> = text.split(',').map(|origin| origin.trim().to_owned()).collect();
    (text == "*" || origins.iter().all(|origin| is_origin(origin))).then_some(origins)
}

/// `host:port`, several separated by commas.
fn brokers(text: &str) -> Option<String> {
    let is_broker = |broker: &str| match broker.trim().rsplit_once(':') {
        Some((host, port)) => !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0),
        None => false,
    };
    text.split(',').all(is_broker).then(|| text.to_owned())
}

/// What Kafka allows in a topic name, short enough to leave room for the name itself (249 in
/// total).
fn topic_prefix(text: &str) -> Option<String> {
    let is_legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    (text.len() <= 200 && text.bytes().all(is_legal)).then(|| text.to_owned())
}

/// A URL path that needs no escaping, without leading or trailing slashes.
fn path(text: &str) -> Option<String> {
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    text.split('/').all(|part| !part.is_empty() && part.bytes().all(is_plain)).then(|| text.to_owned())
}

/// 1, 2 or 3.
fn level(text: &str) -> Option<Level> {
    match text {
        "1" => Some(Level::Metadata),
        "2" => Some(Level::NonSensitive),
        "3" => Some(Level::Full),
        _ => None,
    }
}

/// Any text that is not blank.
fn word(text: &str) -> Option<String> {
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
    fn origins_are_what_a_browser_sends() {
        let two = ["https://app.example".to_owned(), "http://localhost:3000".to_owned()];
        assert_eq!(origins("https://app.example, http://localhost:3000").as_deref(), Some(&two[..]));
        assert_eq!(origins("*").as_deref(), Some(&["*".to_owned()][..]));
        for bad in [
            "",
            "app.example",
            "https://app.example/",
            "https://App.example",
            "https://a:443",
            "null",
            "*,https://a",
            "https://a,",
        ] {
            assert_eq!(origins(bad), None, "{bad}");
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
