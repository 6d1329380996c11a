//! Catching up: a cache that is empty, or that missed a write, is rewritten from PostgreSQL in
//! chunks. Until it is up to date, its partition gets no lease.
//!
//! A walk covers the users whose last record lies in `from..to`, in the order of their keys. `to`
//! is where the partition is folded to when the walk begins. A user that changes later has a higher
//! offset, so the walk leaves it out, and the next one, which begins at `to`, meets it. Each chunk
//! moves `next` by one step of the walk. So a walk can be continued by whoever reads `next`, and a
//! chunk has no effect on a Redis that was flushed or restored meanwhile.

use super::{Cache, publish::PartitionWrite, user_key};
use crate::{
    cache::values::{self, Progress},
    redis_connection::category,
    write::{CacheEntry, Store},
};
use events_schema::UserKey;
use std::{collections::BTreeMap, ops::Range};
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
        let position = positions.get(&partition).copied().unwrap_or_default();
        if let Some(write) = self.next_chunk(store, partition, found, position).await? {
            self.rewrite(write).await;
        }
        self.settle(partition, position);
        Ok(())
    }

    /// The next chunk of a partition in which `next` has this value. `None`: its cache is up to
    /// date.
    async fn next_chunk(
        &self,
        store: &Store,
        partition: i32,
        found: &str,
        position: i64,
    ) -> anyhow::Result<Option<PartitionWrite>> {
        let write = |nonce: &str, progress: &Progress, entries| PartitionWrite {
            partition,
            start: found.to_owned(),
            end: self.next(partition, nonce, progress),
            entries,
        };
        let Some((nonce, progress)) = self.usable(partition, found, position) else {
            let nonce = Uuid::new_v4().simple().to_string();
            return Ok(Some(write(&nonce, &Progress::At(0), Vec::new())));
        };
        let Some((offsets, after)) = remaining(progress, position) else { return Ok(None) };
        let rows = store.load_bodies(partition, offsets.clone(), after.as_ref(), CHUNK).await?;
        let is_last = i64::try_from(rows.len())? < CHUNK;
        let progress = match rows.last().filter(|_| !is_last) {
            Some(row) => Progress::Walking { from: offsets.start, to: offsets.end, last: row.key.clone() },
            None => Progress::At(offsets.end),
        };
        Ok(Some(write(nonce, &progress, rows.into_iter().map(entry).collect())))
    }

    /// Nonce and progress of a cache that has every revision and is not ahead of the partition.
    fn usable<'v>(&self, partition: i32, found: &'v str, position: i64) -> Option<(&'v str, Progress)> {
        let (cache_version, progress) = values::parse_next(self.generation, found)?;
        let nonce = self.nonce_if_current(partition, cache_version)?;
        let (Progress::At(end) | Progress::Walking { to: end, .. }) = progress;
        (end <= position).then_some((nonce, progress))
    }

    /// Ends the catching up of a partition whose cache is up to date. A further batch may be folded
    /// before the next chunk, so this can't wait for it.
    fn settle(&mut self, partition: i32, position: i64) {
        let Some(found) = self.behind.get(&partition) else { return };
        if let Some((nonce, Progress::At(at))) = self.usable(partition, found, position)
            && at == position
        {
            self.nonces.insert(partition, nonce.to_owned());
            self.behind.remove(&partition);
        }
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

/// The offsets of the walk that is under way, and the user that it has come to; or of a new walk up
/// to `position`. `None`: there is nothing to walk over.
fn remaining(progress: Progress, position: i64) -> Option<(Range<i64>, Option<UserKey>)> {
    match progress {
        Progress::Walking { from, to, last } => Some((from..to, Some(last))),
        Progress::At(from) => (from < position).then_some((from..position, None)),
    }
}

fn entry(row: CacheEntry) -> (String, String) {
    (user_key(&row.key), values::body(row.version, &row.body.unwrap_or_default()))
}
