//! Publishing: after a commit, each partition's script writes the new bodies and the new value of
//! `next`, and renews the lease. It writes nothing if the cache is not exactly where the batch
//! starts.

use super::{Cache, user_key};
use crate::{
    cache::values::{self, Progress},
    redis_connection::Server,
    write::{
        Effects, Span,
        lease::{LEASE_DURATION, ServerTime},
    },
};
use events_schema::Topic;
use futures_util::future::join_all;
use redis::{RedisResult, Script};
use service_kit::failpoint;
use std::{collections::BTreeMap, sync::LazyLock, time::Instant};

static PUBLISH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("publish.lua")));

/// The arguments of one partition's script.
pub(super) struct PartitionWrite {
    pub(super) partition: i32,
    /// The required value of `next`, and its new value.
    pub(super) start: String,
    pub(super) end: String,
    /// Users, each with the new value.
    pub(super) entries: Vec<(String, String)>,
}

/// A partition, the new value of `next` that was sent, and the script's reply: the value of `next`
/// there, and the server's time and run id.
pub(super) type PartitionReply = (i32, String, RedisResult<(String, i64, String)>);

impl Cache {
    /// Sends the bodies and leases of a committed batch. `seen` is a time from before the commit.
    /// Does not wait for Redis; the next call does.
    pub fn publish(&mut self, effects: Effects, seen: Option<&ServerTime>) {
        let mut writes: BTreeMap<i32, PartitionWrite> = effects
            .spans
            .iter()
            .filter(|((topic, partition), _)| *topic == Topic::Users && !self.behind.contains_key(partition))
            .map(|((_, partition), span)| (*partition, self.write_without_entries(*partition, *span)))
            .collect();
        for row in effects.users {
            if let Some(write) = writes.get_mut(&row.at.0) {
                write.entries.push((user_key(&row.key), values::body(row.version, &row.body)));
            }
        }
        for row in effects.tombstones {
            if let Some(write) = writes.get_mut(&row.at.0) {
                write.entries.push((user_key(&row.key), values::invalidation(row.version)));
            }
        }
        self.send(writes.into_values().collect(), seen);
    }

    /// Sends what was changed behind the checkpoint `at` of a partition, as its next revision.
    pub fn publish_revision(&mut self, effects: Effects, partition: i32, at: i64, seen: Option<&ServerTime>) {
        let start = self.write_without_entries(partition, unmoved(at)).start;
        *self.revisions.entry(partition).or_default() += 1;
        if self.behind.contains_key(&partition) {
            return;
        }
        let end = self.write_without_entries(partition, unmoved(at)).end;
        let users =
            effects.users.iter().map(|row| (user_key(&row.key), values::body(row.version, &row.body)));
        let gone =
            effects.tombstones.iter().map(|row| (user_key(&row.key), values::invalidation(row.version)));
        let entries = users.chain(gone).collect();
        self.send(vec![PartitionWrite { partition, start, end, entries }], seen);
    }

    /// Renews the leases of partitions at these offsets. The replies tell which caches are behind.
    pub async fn renew(&mut self, positions: &BTreeMap<i32, i64>, seen: Option<&ServerTime>) {
        self.await_delivery().await;
        let current = positions.iter().filter(|(partition, _)| !self.behind.contains_key(partition));
        let writes =
            current.map(|(partition, at)| self.write_without_entries(*partition, unmoved(*at))).collect();
        self.send(writes, seen);
    }

    fn write_without_entries(&self, partition: i32, span: Span) -> PartitionWrite {
        // The nonce of a partition that was just taken over is unknown. Then the script writes
        // nothing, and its reply tells what is there.
        let nonce = self.nonces.get(&partition).map_or("unknown", String::as_str);
        let at = |offset: i64| self.next(partition, nonce, &Progress::At(offset));
        PartitionWrite { partition, start: at(span.from), end: at(span.next), entries: Vec::new() }
    }

    fn send(&mut self, writes: Vec<PartitionWrite>, seen: Option<&ServerTime>) {
        let Some(server) = self.redis.server() else { return };
        if writes.is_empty() {
            return;
        }
        let seen =
            seen.filter(|seen| seen.run == server.run && self.leases.may_grant(&seen.run, Instant::now()));
        if let Some(seen) = seen {
            self.leases.record(seen);
        }
        let calls: Vec<_> =
            writes.into_iter().map(|write| self.call(server.clone(), write, seen.cloned())).collect();
        let before = self.sent.take();
        self.sent = Some(tokio::spawn(async move {
            let mut replies = match before {
                Some(before) => before.await.unwrap_or_default(),
                None => Vec::new(),
            };
            replies.extend(join_all(calls).await);
            failpoint::hit("fold.cached");
            replies
        }));
    }

    /// Calls the script of one partition. Renews the lease only if `seen` is given.
    pub(super) fn call(
        &self,
        mut server: Server,
        write: PartitionWrite,
        seen: Option<ServerTime>,
    ) -> impl Future<Output = PartitionReply> + use<> {
        let PartitionWrite { partition, start, end, entries } = write;
        let mut call = PUBLISH.prepare_invoke();
        call.key(self.keys.lease(partition));
        call.key(self.keys.next(partition));
        call.arg(start).arg(&end);
        match &seen {
            Some(ServerTime { run, millis, .. }) => {
                let until = millis + i64::try_from(LEASE_DURATION.as_millis()).unwrap_or(0);
                call.arg(values::lease(run, self.generation)).arg(until).arg(run)
            }
            None => call.arg("").arg(0).arg(""),
        };
        for (user, entry) in entries {
            call.key(self.key(partition, &user)).arg(entry);
        }
        async move {
            let reply = call.invoke_async(&mut server.connection).await;
            (partition, end, reply)
        }
    }
}

/// A span that does not move its partition.
fn unmoved(at: i64) -> Span {
    Span { from: at, next: at, time: None }
}
