//! The cache of bodies in Redis: invalidations before a commit, bodies and leases after it, and
//! catching up after a loss.
//!
//! No failure of Redis makes a read wrong or stops the projector; reads get slower.

use super::{
    CacheEntry, Effects, Span, Store,
    lease::{LENGTH, Leases, ServerTime},
};
use crate::{
    cache::{CacheKeys, values},
    link::{Link, Server, category},
};
use events_schema::{Topic, UserKey};
use futures_util::future::join_all;
use prometheus::IntCounter;
use redis::{RedisResult, Script};
use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
    time::Instant,
};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Users that are written at once when catching up.
const CHUNK: i64 = 500;

static INVALIDATE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("invalidate.lua")));
static WRITE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("write.lua")));

/// The highest version that a batch can give each of its users, by partition.
pub type Invalidations = BTreeMap<i32, Vec<(String, u64)>>;

/// The arguments of one partition's script.
struct Write {
    partition: i32,
    /// The required value of `next`, and its new value.
    start: String,
    end: String,
    /// Keys and `<version>\n<body>`.
    entries: Vec<(String, String)>,
}

type Written = Vec<(i32, String, RedisResult<(String, i64, String)>)>;

/// The cache as seen by this projector.
pub struct Cache {
    keys: CacheKeys,
    generation: i32,
    link: Link,
    /// Leases that may not have expired.
    pub leases: Leases,
    /// Partitions whose cache is behind, with the value of `next` there.
    behind: HashMap<i32, String>,
    /// The nonces of the other partitions' caches.
    beginnings: HashMap<i32, String>,
    /// The revisions of checkpoints. A cache that missed one is written from the start.
    revisions: HashMap<i32, i64>,
    /// The scripts of the last batch. Only the next batch waits for them.
    sent: Option<JoinHandle<Written>>,
    seen: Option<ServerTime>,
    failures: IntCounter,
}

impl Cache {
    /// The cache of a generation. `failures` counts requests that Redis did not answer.
    pub fn new(topic_prefix: &str, generation: i32, link: Link, failures: IntCounter) -> Self {
        Self {
            keys: CacheKeys::new(topic_prefix),
            generation,
            link,
            leases: Leases::default(),
            behind: HashMap::new(),
            beginnings: HashMap::new(),
            revisions: HashMap::new(),
            sent: None,
            seen: None,
            failures,
        }
    }

    /// Switches to another generation, whose bodies have keys of their own.
    pub fn switch(&mut self, generation: i32) {
        self.generation = generation;
        self.behind.clear();
        self.beginnings.clear();
        self.revisions.clear();
    }

    /// Records the revisions of partitions that were taken over.
    pub fn taken_over(&mut self, revisions: impl IntoIterator<Item = (i32, i64)>) {
        self.revisions.extend(revisions);
    }

    /// Invalidates bodies. Returns the server's time if the server confirmed all invalidations.
    pub async fn invalidate(&mut self, users: &Invalidations) -> Option<ServerTime> {
        self.await_delivery().await;
        let server = self.link.server()?;
        let nothing = BTreeMap::from([(0, Vec::new())]);
        let users = if users.is_empty() { &nothing } else { users };
        let calls = users
            .iter()
            .map(|(partition, users)| self.invalidate_partition(server.clone(), *partition, users));
        let mut seen = None;
        for answer in join_all(calls).await {
            match answer {
                Ok((millis, run)) if run == server.run => {
                    let earlier = seen.take().map_or(millis, |seen: ServerTime| seen.millis.min(millis));
                    seen = Some(ServerTime { run, millis: earlier, at: Instant::now() });
                }
                Ok(_) => return self.reconnect("another server answers than the connected one"),
                Err(error) => return self.reconnect(category(&error)),
            }
        }
        self.seen.clone_from(&seen);
        seen
    }

    async fn invalidate_partition(
        &self,
        mut server: Server,
        p: i32,
        users: &[(String, u64)],
    ) -> RedisResult<(i64, String)> {
        let mut call = INVALIDATE.prepare_invoke();
        for (user, version) in users {
            call.key(self.key(p, user)).arg(values::mark(version));
        }
        call.invoke_async(&mut server.connection).await
    }

    fn reconnect(&mut self, reason: &str) -> Option<ServerTime> {
        tracing::warn!(
            reason,
            "redis is lost: commits wait until the last lease expires, then go on without it"
        );
        self.failures.inc();
        self.seen = None;
        self.link.reconnect();
        None
    }

    /// Sends the bodies and leases of a committed batch. `seen` is a time from before the commit.
    /// Only the next request waits for the answer.
    pub fn write(&mut self, effects: Effects, seen: Option<&ServerTime>) {
        let mut writes: BTreeMap<i32, Write> = effects
            .spans
            .iter()
            .filter(|((topic, partition), _)| *topic == Topic::Users && !self.behind.contains_key(partition))
            .map(|((_, partition), span)| (*partition, self.empty(*partition, *span)))
            .collect();
        for row in effects.users {
            if let Some(write) = writes.get_mut(&row.at.0) {
                write.entries.push((user_key(&row.key), values::body(row.version, &row.body)));
            }
        }
        for row in effects.tombstones {
            if let Some(write) = writes.get_mut(&row.at.0) {
                write.entries.push((user_key(&row.key), values::mark(row.version)));
            }
        }
        self.send(writes.into_values().collect(), seen);
    }

    /// Sends what was changed behind the checkpoint `at` of a partition, as its next revision.
    pub fn write_revision(&mut self, effects: Effects, partition: i32, at: i64, seen: Option<&ServerTime>) {
        let start = self.empty(partition, Span { from: at, next: at, time: None }).start;
        *self.revisions.entry(partition).or_default() += 1;
        if self.behind.contains_key(&partition) {
            return;
        }
        let end = self.empty(partition, Span { from: at, next: at, time: None }).end;
        let users =
            effects.users.iter().map(|row| (user_key(&row.key), values::body(row.version, &row.body)));
        let gone = effects.tombstones.iter().map(|row| (user_key(&row.key), values::mark(row.version)));
        let entries = users.chain(gone).collect();
        self.send(vec![Write { partition, start, end, entries }], seen);
    }

    /// Renews the leases of partitions at these offsets. The answers tell which caches are behind.
    pub async fn renew(&mut self, positions: &BTreeMap<i32, i64>, seen: Option<&ServerTime>) {
        self.await_delivery().await;
        let current = positions.iter().filter(|(partition, _)| !self.behind.contains_key(partition));
        let span = |at: i64| Span { from: at, next: at, time: None };
        let writes = current.map(|(partition, at)| self.empty(*partition, span(*at))).collect();
        self.send(writes, seen);
    }

    fn empty(&self, partition: i32, span: Span) -> Write {
        // The nonce of a partition that was just taken over is unknown. Then the script writes
        // nothing, and its answer tells what is there.
        let beginning = self.beginnings.get(&partition).map_or("unknown", String::as_str);
        let at = |offset: i64| self.next(partition, beginning, offset);
        Write { partition, start: at(span.from), end: at(span.next), entries: Vec::new() }
    }

    fn send(&mut self, writes: Vec<Write>, seen: Option<&ServerTime>) {
        let Some(server) = self.link.server() else { return };
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
            let mut written = match before {
                Some(before) => before.await.unwrap_or_default(),
                None => Vec::new(),
            };
            written.extend(join_all(calls).await);
            service_kit::failpoint::hit("fold.cached");
            written
        }));
    }

    fn call(
        &self,
        mut server: Server,
        write: Write,
        seen: Option<ServerTime>,
    ) -> impl Future<Output = (i32, String, RedisResult<(String, i64, String)>)> + use<> {
        let Write { partition, start, end, entries } = write;
        let mut call = WRITE.prepare_invoke();
        call.key(self.keys.lease(partition));
        call.key(self.keys.next(partition));
        call.arg(start).arg(&end);
        match &seen {
            Some(ServerTime { run, millis, .. }) => {
                let until = millis + i64::try_from(LENGTH.as_millis()).unwrap_or(0);
                call.arg(values::lease(run, self.generation)).arg(until).arg(run)
            }
            None => call.arg("").arg(0).arg(""),
        };
        for (user, entry) in entries {
            call.key(self.key(partition, &user)).arg(entry);
        }
        async move {
            let answer = call.invoke_async(&mut server.connection).await;
            (partition, end, answer)
        }
    }

    fn key(&self, partition: i32, user: &str) -> String {
        self.keys.body(partition, self.generation, user)
    }

    /// Waits for the scripts that were sent last, and reads their answers.
    async fn await_delivery(&mut self) {
        let Some(sent) = self.sent.take() else { return };
        for (partition, end, answer) in sent.await.unwrap_or_default() {
            match answer {
                Ok((next, ..)) if next == end => {}
                Ok((next, ..)) => drop(self.behind.insert(partition, next)),
                Err(error) => {
                    self.reconnect(category(&error));
                    return;
                }
            }
        }
    }

    /// Whether a cache is behind and a server is connected.
    pub fn can_catch_up(&mut self) -> bool {
        !self.behind.is_empty() && self.link.server().is_some()
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
        let usable = |(beginning, from)| {
            Some((self.of_this_revision(partition, beginning)?, from)).filter(|_| from <= to)
        };
        let Some((beginning, from)) = values::parse_next(self.generation, found).and_then(usable) else {
            let (start, nonce) = (found.clone(), Uuid::new_v4().simple().to_string());
            let end = self.next(partition, &nonce, 0);
            self.rewrite(Write { partition, start, end, entries: Vec::new() }).await;
            return Ok(());
        };
        if from == to {
            self.beginnings.insert(partition, beginning.to_owned());
            self.behind.remove(&partition);
            return Ok(());
        }
        let rows = store.load_bodies(partition, from, to, CHUNK).await?;
        let is_last = i64::try_from(rows.len())? < CHUNK;
        let end = rows.last().filter(|_| !is_last).map_or(to, |row| row.offset + 1);
        let (start, end) = (found.clone(), self.next(partition, beginning, end));
        let entries = rows.into_iter().map(entry).collect();
        self.rewrite(Write { partition, start, end, entries }).await;
        Ok(())
    }

    /// Writes without a lease, and keeps the new value of `next`.
    async fn rewrite(&mut self, write: Write) {
        let Some(server) = self.link.server() else { return };
        let partition = write.partition;
        match self.call(server, write, None).await.2 {
            Ok((next, ..)) => drop(self.behind.insert(partition, next)),
            Err(error) => drop(self.reconnect(category(&error))),
        }
    }

    fn next(&self, partition: i32, nonce: &str, offset: i64) -> String {
        values::next(self.generation, nonce, self.revision(partition), offset)
    }

    fn revision(&self, partition: i32) -> i64 {
        self.revisions.get(&partition).copied().unwrap_or_default()
    }

    /// The nonce in a beginning, if the cache has seen every revision.
    fn of_this_revision<'b>(&self, partition: i32, beginning: &'b str) -> Option<&'b str> {
        let (nonce, revision) = beginning.split_once('.')?;
        (revision.parse() == Ok(self.revision(partition))).then_some(nonce)
    }
}

/// The invalidations of a batch that can give its users these versions.
pub fn invalidations(versions: BTreeMap<i32, BTreeMap<&UserKey, u64>>) -> Invalidations {
    let of = |users: BTreeMap<&UserKey, u64>| {
        users.into_iter().map(|(key, version)| (user_key(key), version)).collect()
    };
    versions.into_iter().map(|(partition, users)| (partition, of(users))).collect()
}

/// A user in the cache's keys.
fn user_key(key: &UserKey) -> String {
    key.to_string()
}

fn entry(row: CacheEntry) -> (String, String) {
    (format!("{}/{}", row.tenant, row.user), values::body(row.version, &row.body.unwrap_or_default()))
}
