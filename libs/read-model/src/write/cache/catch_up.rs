//! Catching up: a cache that is empty, or that missed a write, is rewritten from PostgreSQL in
//! chunks. Until it is up to date, its partition gets no lease.

use super::{Cache, publish::PartitionWrite};
use crate::{
    cache::values,
    redis_connection::category,
    write::{CacheEntry, Store},
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The number of users in a chunk.
const CHUNK: i64 = 500;

impl Cache {
    /// Whether a cache is behind and a server is connected.
    pub fn can_catch_up(&mut self) -> bool {
        !self.behind.is_empty() && self.redis.server().is_some()
    }

    /// Writes one chunk of a partition whose cache is behind. `positions` are the offsets up to
    /// which partitions are folded.
    ///
    /// # Errors
    /// The bodies could not be loaded.
    pub async fn catch_up(&mut self, store: &Store, positions: &BTreeMap<i32, i64>) -> anyhow::Result<()> {
        self.await_delivery().await;
        self.behind.retain(|partition, _| positions.contains_key(partition));
        let Some((&partition, found)) = self.behind.iter().next() else { return Ok(()) };
        let to = positions.get(&partition).copied().unwrap_or_default();
        let usable = |(cache_version, from)| {
            Some((self.nonce_if_current(partition, cache_version)?, from)).filter(|_| from <= to)
        };
        let Some((nonce, from)) = values::parse_next(self.generation, found).and_then(usable) else {
            let (start, nonce) = (found.clone(), Uuid::new_v4().simple().to_string());
            let end = self.next(partition, &nonce, 0);
            self.rewrite(PartitionWrite { partition, start, end, entries: Vec::new() }).await;
            return Ok(());
        };
        if from == to {
            self.nonces.insert(partition, nonce.to_owned());
            self.behind.remove(&partition);
            return Ok(());
        }
        let rows = store.load_bodies(partition, from, to, CHUNK).await?;
        let is_last = i64::try_from(rows.len())? < CHUNK;
        let end = rows.last().filter(|_| !is_last).map_or(to, |row| row.offset + 1);
        let (start, end) = (found.clone(), self.next(partition, nonce, end));
        let entries = rows.into_iter().map(entry).collect();
        self.rewrite(PartitionWrite { partition, start, end, entries }).await;
        Ok(())
    }

    /// Writes without a lease, and keeps the new value of `next`.
    async fn rewrite(&mut self, write: PartitionWrite) {
        let Some(server) = self.redis.server() else { return };
        let partition = write.partition;
        match self.call(server, write, None).await.2 {
            Ok((next, ..)) => drop(self.behind.insert(partition, next)),
            Err(error) => self.reconnect(category(&error)),
        }
    }

    /// The nonce in a cache version, if the cache has every revision.
    fn nonce_if_current<'v>(&self, partition: i32, cache_version: &'v str) -> Option<&'v str> {
        let (nonce, revision) = cache_version.split_once('.')?;
        (revision.parse() == Ok(self.revision(partition))).then_some(nonce)
    }
}

fn entry(row: CacheEntry) -> (String, String) {
    (format!("{}/{}", row.tenant, row.user), values::body(row.version, &row.body.unwrap_or_default()))
}
