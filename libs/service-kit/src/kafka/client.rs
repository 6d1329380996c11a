//! Base configuration of the log's clients.

use crate::settings::{NotSet, Settings};
use rdkafka::ClientConfig;
use std::time::Duration;

/// For every client.
const CLIENT: &[(&str, &str)] = &[
    ("client.id", "rollcall"),
    ("socket.keepalive.enable", "true"),
    // Otherwise a producer's request about a deleted topic would recreate it with the broker's own
    // settings.
    ("allow.auto.create.topics", "false"),
    // A returning broker is found again within a second.
    ("reconnect.backoff.max.ms", "1000"),
];

/// For producers of domain events. Writes wait for their append, so a batch is not held back to
/// fill up: it fills while the previous one is in flight.
const PRODUCER: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    // The same as the Java clients, so that any producer reaches the user's partition.
    ("partitioner", "murmur2_random"),
    ("linger.ms", "0"),
    // With several requests in flight, one that fails its sequence check would start a new epoch.
    ("max.in.flight.requests.per.connection", "1"),
    // A rejected record must not start a new epoch: if the broker permanently rejects one, the
    // client stops and is replaced.
    ("enable.gapless.guarantee", "true"),
    // How long one request may take before it is repeated.
    ("socket.timeout.ms", "10000"),
    ("request.timeout.ms", "10000"),
    // Anything above is refused, so that an outage of the log can't exhaust memory.
    ("queue.buffering.max.messages", "10000"),
    ("queue.buffering.max.kbytes", "65536"),
];

/// A timeout must not start a new epoch: records never expire, and the sender retires the client
/// when one is overdue (see `delivery`).
const NO_TIMEOUT: (&str, &str) = ("message.timeout.ms", "0");

/// The base configuration of every client: brokers, client id, and the operator's settings, which
/// take precedence.
///
/// # Errors
/// `KAFKA_BROKERS` is not set.
pub fn client_config(settings: &Settings) -> Result<ClientConfig, NotSet> {
    config(settings, CLIENT.iter().map(|(key, value)| (*key, (*value).to_owned())))
}

/// The base configuration of a producer of domain events: idempotent, `acks=all`,
/// `partitioner=murmur2_random`, no linger. It never gives a record up.
///
/// # Errors
/// `KAFKA_BROKERS` is not set.
pub fn producer_config(settings: &Settings) -> Result<ClientConfig, NotSet> {
    let ours = CLIENT.iter().chain(PRODUCER).map(|(key, value)| (*key, (*value).to_owned()));
    let mut config = config(settings, ours)?;
    config.set(NO_TIMEOUT.0, NO_TIMEOUT.1);
    Ok(config)
}

/// How long an append may be in flight before it is given up: the operator's `message.timeout.ms`,
/// else below the visibility timeout (within 1 s to 4 s).
pub fn delivery_timeout(settings: &Settings) -> Duration {
    let below = (settings.visibility_timeout * 4 / 5).clamp(Duration::from_secs(1), Duration::from_secs(4));
    record_timeout(settings, below)
}

/// How long a record may be in flight before it is given up: the operator's `message.timeout.ms`,
/// else `ours`.
pub fn record_timeout(settings: &Settings, ours: Duration) -> Duration {
    let given = settings.kafka.get(NO_TIMEOUT.0).and_then(|ms| ms.parse().ok());
    // 0 means "never" to librdkafka, but no caller can wait forever.
    given.filter(|ms| *ms > 0).map_or(ours, Duration::from_millis)
}

/// The operator's settings come last. Those that would break a promise were refused when the
/// settings were read.
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
        assert!(config.create_native_config().is_ok());
    }

    /// Otherwise a client would start a new epoch and write again what it has already sent.
    #[test]
    fn no_record_times_out_in_a_client() {
        let settings = |ms: &str| settings(&[("ROLLCALL_KAFKA__MESSAGE_TIMEOUT_MS", ms)]);
        assert_eq!(producer_config(&settings("9000")).unwrap().get("message.timeout.ms"), Some("0"));
        let timeout = |ms: &str| delivery_timeout(&settings(ms)).as_millis();
        assert_eq!((timeout("9000"), timeout("0")), (9_000, 4_000));
    }

    #[test]
    fn without_brokers_there_is_no_client() {
        let settings = Settings::from_vars([], "127.0.0.1:0").unwrap();
        assert_eq!(client_config(&settings).unwrap_err().0, "KAFKA_BROKERS");
    }

    /// The mock cluster creates topics for anyone who allows it.
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
