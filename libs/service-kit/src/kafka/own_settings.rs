//! What one client sets beside the base configuration.

use crate::settings::Settings;
use rdkafka::ClientConfig;

/// The settings of one client, as pairs of key and value.
#[derive(Debug, Clone, Copy)]
pub struct OwnSettings<'s> {
    /// Defaults, which the operator's settings override. Aliases must be spelled as
    /// `settings/kafka.rs` does.
    pub defaults: &'s [(&'s str, &'s str)],
    /// What correctness depends on. Nothing overrides it.
    pub required: &'s [(&'s str, &'s str)],
}

impl OwnSettings<'_> {
    /// Adds them to a base configuration.
    pub fn add_to(&self, config: &mut ClientConfig, settings: &Settings) {
        let defaults = self.defaults.iter().filter(|(key, _)| !settings.kafka.contains_key(*key));
        for (key, value) in defaults.chain(self.required) {
            config.set(*key, *value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::client_config;

    #[test]
    fn an_operator_overrides_defaults_and_nothing_that_is_required() {
        let vars = [
            ("KAFKA_BROKERS", "127.0.0.1:1"),
            ("ROLLCALL_KAFKA__SESSION_TIMEOUT_MS", "45000"),
            ("ROLLCALL_KAFKA__AUTO_OFFSET_RESET", "latest"),
        ];
        let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::from_vars(vars, "127.0.0.1:0").unwrap();
        let mut config = client_config(&settings).unwrap();
        let own = OwnSettings {
            defaults: &[("session.timeout.ms", "6000"), ("fetch.min.bytes", "1")],
            required: &[("auto.offset.reset", "error")],
        };
        own.add_to(&mut config, &settings);
        let values =
            ["session.timeout.ms", "fetch.min.bytes", "auto.offset.reset"].map(|key| config.get(key));
        assert_eq!(values, [Some("45000"), Some("1"), Some("error")]);
    }
}
