//! The cache of bodies in Redis: invalidations before a commit (`invalidate`), bodies and leases
//! after it (`publish`), and rewriting a cache that has lost something (`catch_up`).
//!
//! No failure of Redis makes a read wrong or stops the projector; reads get slower.

mod catch_up;
mod invalidate;
mod publish;

pub use invalidate::{InvalidationStatus, VersionsToInvalidate, versions_to_invalidate};

use self::publish::PartitionReply;
use super::lease::Leases;
use crate::{
    cache::{
        CacheKeys, peek,
        values::{self, Progress},
    },
    operate::retired_bodies,
    redis_connection::{RedisConnection, category},
};
use bytes::Bytes;
use events_schema::UserKey;
use prometheus::IntCounter;
use std::collections::HashMap;
use tokio::task::JoinHandle;

/// The cache as seen by this projector.
pub struct Cache {
    keys: CacheKeys,
    generation: i32,
    redis: RedisConnection,
    /// Leases that may not have expired.
    pub leases: Leases,
    /// Partitions whose cache is behind, with the value of `next` there.
    behind: HashMap<i32, String>,
    /// The nonce of each partition's cache that is up to date.
    nonces: HashMap<i32, String>,
    /// The revisions of checkpoints. A cache that missed one is written from the start.
    revisions: HashMap<i32, i64>,
    /// The scripts that were sent last. Only the next request waits for their replies.
    sent: Option<JoinHandle<Vec<PartitionReply>>>,
    failures: IntCounter,
}

impl Cache {
    /// The cache of a generation. `failures` counts requests that Redis did not answer.
    pub fn new(topic_prefix: &str, generation: i32, redis: RedisConnection, failures: IntCounter) -> Self {
        Self {
            keys: CacheKeys::new(topic_prefix),
            generation,
            redis,
            leases: Leases::default(),
            behind: HashMap::new(),
            nonces: HashMap::new(),
            revisions: HashMap::new(),
            sent: None,
            failures,
        }
    }

    /// Switches to another generation, whose bodies have keys of their own.
    pub fn switch(&mut self, generation: i32) {
        self.generation = generation;
        self.behind.clear();
        self.nonces.clear();
        self.revisions.clear();
        self.unlink_others();
    }

    /// Removes the bodies of other generations, without waiting for it: a deletion reaches only
    /// those of the live one. A promotion does this too, but it may have been interrupted.
    pub fn unlink_others(&self) {
        let Some(mut server) = self.redis.server() else { return };
        let (keys, live) = (self.keys.clone(), self.generation);
        tokio::spawn(async move {
            if let Err(error) = retired_bodies::unlink_on(&mut server.connection, &keys, live).await {
                tracing::warn!(reason = category(&error), "bodies of other generations may be left in redis");
            }
        });
    }

    /// Records the revisions of partitions that were taken over.
    pub fn taken_over(&mut self, revisions: impl IntoIterator<Item = (i32, i64)>) {
        self.revisions.extend(revisions);
    }

    /// The value that the cache holds for a user, whether or not readers may trust it. `None`: no
    /// body, or no answer.
    pub async fn peek(&self, partition: i32, user: &UserKey) -> Option<(i64, Bytes)> {
        let mut server = self.redis.server()?;
        peek::body(&mut server.connection, &self.key(partition, &user_key(user))).await
    }

    /// Waits for the scripts that were sent last, and reads their replies.
    async fn await_delivery(&mut self) {
        let Some(sent) = self.sent.take() else { return };
        for (partition, end, reply) in sent.await.unwrap_or_default() {
            match reply {
                Ok((next, ..)) if next == end => {}
                Ok((next, ..)) => drop(self.behind.insert(partition, next)),
                Err(error) => return self.reconnect(category(&error)),
            }
        }
    }

    fn reconnect(&mut self, reason: &str) {
        tracing::warn!(
            reason,
            "redis is lost: commits wait until the last lease expires, then go on without it"
        );
        self.failures.inc();
        self.redis.reconnect();
    }

    /// The key of a user's body.
    fn key(&self, partition: i32, user: &str) -> String {
        self.keys.body(partition, self.generation, user)
    }

    /// The value of `next` for this nonce, the current revision and this progress.
    fn next(&self, partition: i32, nonce: &str, progress: &Progress) -> String {
        values::next(self.generation, nonce, self.revision(partition), progress)
    }

    fn revision(&self, partition: i32) -> i64 {
        self.revisions.get(&partition).copied().unwrap_or_default()
    }
}

/// A user in the cache's keys.
fn user_key(key: &UserKey) -> String {
    key.to_string()
}
