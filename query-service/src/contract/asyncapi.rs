//! The AsyncAPI document of this instance: with its brokers, its topics, and how it logs in to them.

use events_schema::schema::ASYNCAPI;
use serde_json::{Map, Value, json};
use service_kit::settings::Settings;

/// The placeholder for the prefix in the document of the tree.
const PREFIX: &str = "{prefix}";

/// The document as JSON.
pub(super) fn text(settings: &Settings) -> String {
    let mut document: Value = serde_json::from_str(ASYNCAPI).unwrap_or_default();
    document["servers"] = servers(settings);
    let schemes = document["components"]["securitySchemes"].as_object_mut();
    schemes.into_iter().for_each(|schemes| schemes.retain(|name, _| Some(&**name) == scheme(settings)));
    let channels = document["channels"].as_object_mut();
    channels.into_iter().flat_map(Map::values_mut).for_each(|channel| address(channel, settings));
    document.to_string()
}

/// One server for each broker of `KAFKA_BROKERS`.
fn servers(settings: &Settings) -> Value {
    let hosts = settings.kafka_brokers.as_deref().unwrap_or_default().split(',').map(str::trim);
    let named =
        hosts.enumerate().map(|(index, host)| (format!("kafka{}", index + 1), server(host, settings)));
    Value::Object(named.collect())
}

fn server(host: &str, settings: &Settings) -> Value {
    let protocol = if is_encrypted(settings) { "kafka-secure" } else { "kafka" };
    let mut server = json!({ "host": host, "protocol": protocol });
    if let Some(scheme) = scheme(settings) {
        server["security"] = json!([{ "$ref": format!("#/components/securitySchemes/{scheme}") }]);
    }
    server
}

fn is_encrypted(settings: &Settings) -> bool {
    setting(settings, "security.protocol").is_some_and(|protocol| protocol.ends_with("ssl"))
}

/// The security scheme that this instance uses itself, if any.
fn scheme(settings: &Settings) -> Option<&'static str> {
    let is_sasl = setting(settings, "security.protocol").is_some_and(|protocol| protocol.starts_with("sasl"));
    let mechanism = setting(settings, "sasl.mechanism").or_else(|| setting(settings, "sasl.mechanisms"));
    match mechanism.as_deref() {
        Some("plain") if is_sasl => Some("plain"),
        Some("scram-sha-256") if is_sasl => Some("scramSha256"),
        Some("scram-sha-512") if is_sasl => Some("scramSha512"),
        _ => setting(settings, "ssl.certificate.location").map(|_| "X509"),
    }
}

fn setting(settings: &Settings, key: &str) -> Option<String> {
    settings.kafka.get(key).map(|value| value.to_ascii_lowercase())
}

/// Fills in the topic's name. Its number of partitions is only known if it is a setting.
fn address(channel: &mut Value, settings: &Settings) {
    let filled =
        |text: &Value| json!(text.as_str().unwrap_or_default().replace(PREFIX, &settings.topic_prefix));
    channel["address"] = filled(&channel["address"]);
    let kafka = &mut channel["bindings"]["kafka"];
    kafka["topic"] = filled(&kafka["topic"]);
    if settings.is_partitions_given {
        kafka["partitions"] = json!(settings.partitions);
    } else if let Some(kafka) = kafka.as_object_mut() {
        kafka.remove("partitions");
    }
    if let Some(channel) = channel.as_object_mut() {
        channel.remove("parameters");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn served(variables: &[(&str, &str)]) -> Value {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings = Settings::from_vars(variables, "127.0.0.1:0").unwrap();
        serde_json::from_str(&text(&settings)).unwrap()
    }

    #[test]
    fn names_the_topics_and_brokers_of_the_instance() {
        let plain = served(&[
            ("KAFKA_BROKERS", "a:9092, b:9093"),
            ("ROLLCALL_TOPIC_PREFIX", "dev."),
            ("ROLLCALL_PARTITIONS", "6"),
        ]);
        let servers = json!({
            "kafka1": { "host": "a:9092", "protocol": "kafka" }, "kafka2": { "host": "b:9093", "protocol": "kafka" },
        });
        assert_eq!(plain["servers"], servers);
        let users = &plain["channels"]["users"];
        assert_eq!(users["address"], "dev.users.events");
        let kafka = &users["bindings"]["kafka"];
        assert_eq!((&kafka["topic"], &kafka["partitions"]), (&json!("dev.users.events"), &json!(6)));
        assert_eq!(plain["components"]["securitySchemes"], json!({}));
        let unset = served(&[("KAFKA_BROKERS", "a:1")]);
        assert_eq!(unset["channels"]["analytics"]["address"], "users.analytics");
        assert_eq!(unset["channels"]["users"]["bindings"]["kafka"].get("partitions"), None);
        assert!(!unset.to_string().contains("{prefix}"));
    }

    #[test]
    fn names_how_to_log_in() {
        let sasl = served(&[
            ("KAFKA_BROKERS", "a:1"),
            ("ROLLCALL_KAFKA__security_protocol", "SASL_SSL"),
            ("ROLLCALL_KAFKA__sasl_mechanism", "SCRAM-SHA-512"),
            ("ROLLCALL_KAFKA__sasl_username", "u"),
            ("ROLLCALL_KAFKA__sasl_password", "not-shown"),
        ]);
        let server = &sasl["servers"]["kafka1"];
        assert_eq!(server["protocol"], "kafka-secure");
        assert_eq!(server["security"], json!([{ "$ref": "#/components/securitySchemes/scramSha512" }]));
        assert_eq!(sasl["components"]["securitySchemes"].as_object().unwrap().len(), 1);
        assert!(!sasl.to_string().contains("not-shown"));
    }
}
