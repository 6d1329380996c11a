//! A Kafka transaction of an issuing system. Its records count once it is committed.

use crate::{Deployment, Foreign};
use rdkafka::producer::{FutureProducer, Producer};
use std::time::Duration;
use uuid::Uuid;

/// The timeout of one call to the broker.
const CALL: Duration = Duration::from_secs(60);

/// A transaction, open until it is committed or aborted. If it is dropped, it stays open until the
/// broker's timeout, longer than any test runs.
pub struct Transaction {
    producer: FutureProducer,
}

impl Deployment {
    /// Writes records in a new transaction, which stays open. Returns it with their places.
    ///
    /// # Panics
    /// The broker refuses.
    pub async fn begin(&self, topic: &str, records: &[Foreign]) -> (Transaction, Vec<(i32, i64)>) {
        let id = format!("{}{}", self.prefix, Uuid::new_v4());
        let producer = self.producer(&[("transactional.id", &id), ("transaction.timeout.ms", "600000")]);
        let starting = producer.clone();
        let started = move || {
            starting.init_transactions(CALL).expect("transactions start");
            starting.begin_transaction().expect("a transaction begins");
        };
        tokio::task::spawn_blocking(started).await.expect("it is open");
        let places = self.append_with(&producer, topic, records).await;
        (Transaction { producer }, places)
    }
}

impl Transaction {
    /// Commits it.
    ///
    /// # Panics
    /// The broker refuses.
    pub async fn commit(self) {
        let commit = move || self.producer.commit_transaction(CALL).expect("it is committed");
        tokio::task::spawn_blocking(commit).await.expect("it is committed");
    }

    /// Aborts it.
    ///
    /// # Panics
    /// The broker refuses.
    pub async fn abort(self) {
        let abort = move || self.producer.abort_transaction(CALL).expect("it is aborted");
        tokio::task::spawn_blocking(abort).await.expect("it is aborted");
    }
}
