//! The first and the last stable offset of a partition.

use rdkafka::{
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaErrorCode,
};
use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a partition may be without a leader.
const LEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait before the broker is asked again.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// Asks for both ends of a partition, and asks again while it has no leader: a broker accepts
/// connections seconds before it leads all of its partitions, and a new topic has no leader at
/// first. Blocks.
///
/// # Errors
/// The broker's error, or no answer within `timeout`.
pub fn watermarks<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> KafkaResult<(i64, i64)> {
    let give_up = Instant::now() + LEADER_TIMEOUT;
    loop {
        match consumer.fetch_watermarks(topic, partition, timeout) {
            Err(error) if has_no_leader(&error) && Instant::now() < give_up => thread::sleep(RETRY_INTERVAL),
            answer => return answer,
        }
    }
}

fn has_no_leader(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| matches!(code, Code::NotLeaderForPartition | Code::LeaderNotAvailable))
}
