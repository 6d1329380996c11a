//! What the clients of the log start from.

use crate::settings::{NotSet, Settings};
use rdkafka::ClientConfig;
use std::time::Duration;

/// Of every client.
const CLIENT: &[(&str, &str)] = &[
    ("client.id", "rollcall"),
    ("socket.keepalive.enable", "true"),
    // A producer's question about a topic that is gone would have it made anew, with settings of the broker's own.
    ("allow.auto.create.topics", "false"),
    // A broker that comes back is found again within a second.
    ("reconnect.backoff.max.ms", "1000"),
];

/// Of producers of domain events. Writes wait for their append, so a batch does not wait to fill up: it fills while the one before is on its way.
const PRODUCER: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    // As the Java clients have it, so that anyone's producer reaches the user's own partition.
    ("partitioner", "murmur2_random"),
    ("linger.ms", "0"),
    // One request at a time. With several, the client gives those that were open when the broker went a new epoch if a later one is
    // refused for its sequence; then what was in the log of them already comes there once more, and the broker can't tell.
    ("max.in.flight.requests.per.connection", "1"),
    // How long an append that nobody waits for any more may still be on its way, at most.
    ("socket.timeout.ms", "10000"),
    ("request.timeout.ms", "10000"),
    // More than this is refused, so that an outage of the log can't fill the memory.
    ("queue.buffering.max.messages", "10000"),
    ("queue.buffering.max.kbytes", "65536"),
];

/// What every client of the log starts from: brokers, client id, the operator's own keys (which win).
///
/// # Errors
/// `KAFKA_BROKERS` is not set.
pub fn client_config(settings: &Settings) -> Result<ClientConfig, NotSet> {
    config(settings, CLIENT.iter().map(|(key, value)| (*key, (*value).to_owned())))
}

/// What a producer of domain events starts from: idempotent, `acks=all`, `partitioner=murmur2_random`, low linger,
/// `message.timeout.ms` below the visibility timeout (within 1 s to 4 s).
///
/// # Errors
/// `KAFKA_BROKERS` is not set.
pub fn producer_config(settings: &Settings) -> Result<ClientConfig, NotSet> {
    let timeout = delivery_timeout(settings.visibility_timeout).as_millis().to_string();
    let ours = CLIENT.iter().chain(PRODUCER).map(|(key, value)| (*key, (*value).to_owned()));
    config(settings, ours.chain([("message.timeout.ms", timeout)]))
}

/// The operator's keys come last; those that would break a promise have been refused when the settings were read.
fn config<'a>(
    settings: &Settings,
    ours: impl Iterator<Item = (&'a str, String)>,
) -> Result<ClientConfig, NotSet> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", settings.kafka_brokers()?);
    config.extend(ours.map(|(key, value)| (key.to_owned(), value)));
    config.extend(settings.kafka.clone());
    Ok(config)
}

fn delivery_timeout(visibility: Duration) -> Duration {
    (visibility * 4 / 5).clamp(Duration::from_secs(1), Duration::from_secs(4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kafka::Topics, settings::Settings};
    use rdkafka::{
        mocking::MockCluster,
        producer::{BaseProducer, BaseRecord, Producer as _},
    };

    fn settings(vars: &[(&str, &str)]) -> Settings {
        let brokers = ("KAFKA_BROKERS", "127.0.0.1:1");
        let vars = vars.iter().chain([&brokers]).map(|(name, value)| (name.to_string(), value.to_string()));
        Settings::from_vars(vars, "127.0.0.1:0").unwrap()
    }

    #[test]
    fn the_operators_keys_win() {
        let config = producer_config(&settings(&[("ROLLCALL_KAFKA__LINGER_MS", "20")])).unwrap();
        assert_eq!((config.get("linger.ms"), config.get("acks")), (Some("20"), Some("all")));
        assert_eq!(config.get("bootstrap.servers"), Some("127.0.0.1:1"));
        assert_eq!(config.get("message.timeout.ms"), Some("4000"));
        assert!(config.create_native_config().is_ok());
    }

    #[test]
    fn without_brokers_there_is_no_client() {
        let settings = Settings::from_vars([], "127.0.0.1:0").unwrap();
        assert_eq!(client_config(&settings).unwrap_err().0, "KAFKA_BROKERS");
    }

    /// The cluster makes topics for whoever lets it.
    #[test]
    fn no_topic_is_made_by_writing_to_it() {
        let cluster = MockCluster::new(1).unwrap();
        let made = |allow: &str| {
            let mut config = producer_config(&settings(&[])).unwrap();
            config.set("bootstrap.servers", cluster.bootstrap_servers()).set("message.timeout.ms", "2000");
            if !allow.is_empty() {
                config.set("allow.auto.create.topics", allow);
            }
            let producer: BaseProducer = config.create().unwrap();
            producer.send(BaseRecord::to("a").key("k").payload("v")).unwrap();
            producer.flush(Duration::from_secs(60)).unwrap();
            producer.client().fetch_metadata(None, Duration::from_secs(60)).unwrap().topics().len()
        };
        assert_eq!((made(""), made("true")), (0, 1));
    }

    #[test]
    fn the_prefix_stands_before_every_topic() {
        let topics = Topics::new("dev.");
        assert_eq!(
            [topics.users, topics.credentials, topics.analytics],
            ["dev.users.events", "dev.users.credentials", "dev.users.analytics"]
        );
    }
}
