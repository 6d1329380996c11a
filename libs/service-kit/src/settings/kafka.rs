//! `ROLLCALL_KAFKA__<key with _ for .>`: librdkafka's own settings.

use super::{
    SettingsError,
    names::KAFKA_PREFIX,
    source::{Source, read_secret},
};
use rdkafka::{ClientConfig, error::KafkaError, types::RDKafkaConfRes};
use std::collections::BTreeMap;

/// Aliases of the same keys, normalized so that ours and the operator's can't both be set.
const ALIASES: &[(&str, &str)] = &[
    ("metadata.broker.list", "bootstrap.servers"),
    ("request.required.acks", "acks"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("retries", "message.send.max.retries"),
    ("compression.type", "compression.codec"),
];

/// What the design promises to everyone who reads or writes the log. An operator may repeat these
/// values but not change them.
const PROMISES: &[(&str, &[&str])] = &[
    ("acks", &["all", "-1"]),
    ("enable.idempotence", &["true"]),
    ("partitioner", &["murmur2_random"]),
    ("isolation.level", &["read_committed"]),
    ("allow.auto.create.topics", &["false"]),
    // With any other value a producer may write an event twice.
    ("max.in.flight.requests.per.connection", &["1"]),
    ("enable.gapless.guarantee", &["true"]),
    ("message.send.max.retries", &["2147483647"]),
];

/// The keys as librdkafka spells them, each validated by librdkafka itself.
pub(super) fn keys(source: &Source) -> Result<BTreeMap<String, String>, SettingsError> {
    let mut keys = BTreeMap::new();
    for (name, suffix, value) in source.kafka() {
        let (key, value) = pair(name, suffix, value)?;
        check(name, &key, &value)?;
        if keys.insert(key, value).is_some() {
            return Err(SettingsError::new(name, "the same key is given twice"));
        }
    }
    Ok(keys)
}

/// Key and value. The value is read from a file if the name ends in `_FILE` (no key of librdkafka
/// does).
fn pair(name: &str, suffix: &str, value: &str) -> Result<(String, String), SettingsError> {
    let key = suffix.to_ascii_lowercase().replace('_', ".");
    let (key, value) = match key.strip_suffix(".file") {
        Some(key) => (key.to_owned(), read_secret(name, value)?),
        None => (key, value.to_owned()),
    };
    let alias = ALIASES.iter().find(|(alias, _)| *alias == key);
    Ok((alias.map_or(key, |(_, key)| (*key).to_owned()), value))
}

fn check(name: &str, key: &str, value: &str) -> Result<(), SettingsError> {
    if key == "bootstrap.servers" {
        return Err(SettingsError::new(name, "set KAFKA_BROKERS instead"));
    }
    if let Some((_, kept)) = PROMISES.iter().find(|(promise, kept)| *promise == key && !kept.contains(&value))
    {
        return Err(SettingsError::new(
            name,
            format!("must be {}: the guarantees of the log depend on it", kept[0]),
        ));
    }
    // librdkafka's own message would repeat the value, which may be a password.
    match ClientConfig::new().set(key, value).create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => Err(SettingsError::new(
            name,
            format!("librdkafka has no setting `{key}` ({KAFKA_PREFIX}<key with _ for .>)"),
        )),
        Err(_) => Err(SettingsError::new(name, format!("librdkafka does not accept this value for `{key}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<BTreeMap<String, String>, SettingsError> {
        let vars = vars.iter().map(|(name, value)| (format!("{KAFKA_PREFIX}{name}"), (*value).to_owned()));
        keys(&Source::new(vars)?)
    }

    #[test]
    fn any_letter_case_is_a_key() {
        let read =
            read(&[("sasl_password", "s3cret"), ("SECURITY_PROTOCOL", "sasl_plaintext"), ("Linger_Ms", "7")]);
        let wanted =
            [("linger.ms", "7"), ("sasl.password", "s3cret"), ("security.protocol", "sasl_plaintext")];
        assert_eq!(read.unwrap(), wanted.map(|(key, value)| (key.into(), value.into())).into());
    }

    #[test]
    fn what_librdkafka_refuses_is_refused_by_name_without_the_value() {
        for name in ["no_such_key", "socket_timeout_ms", "partitioner", "acks", "bootstrap_servers"] {
            let error = read(&[(name, "hush")]).unwrap_err();
            assert_eq!(error.name, format!("{KAFKA_PREFIX}{name}"));
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }

    #[test]
    fn what_would_write_twice_is_refused() {
        for (name, value) in [("max_in_flight", "5"), ("enable_gapless_guarantee", "false"), ("retries", "3")]
        {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.to_string().contains("guarantees of the log"), "{error}");
        }
        assert!(read(&[("MAX_IN_FLIGHT", "1")]).is_ok());
    }

    #[test]
    fn one_key_has_one_value() {
        assert!(read(&[("linger_ms", "1"), ("LINGER_MS", "2")]).is_err());
        assert!(read(&[("linger_ms", "1"), ("queue_buffering_max_ms", "2")]).is_err());
    }
}
