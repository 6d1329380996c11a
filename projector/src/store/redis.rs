//! The cache of ready bodies: marks before a commit, bodies and leases after it, and the way back after a loss.
//!
//! Nothing here can make a read wrong or stop the fold; a Redis in trouble is only slower.

use super::{
    link::{Link, Server, category},
    postgres::{Cached, Store},
};
use crate::{
    effects::{Effects, Span},
    lease::{LENGTH, Leases, Seen},
    metrics,
};
use events_schema::{Topic, UserKey};
use futures_util::future::join_all;
use redis::{RedisResult, Script};
use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
    time::Instant,
};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Users that are written again at once after a loss.
const CHUNK: i64 = 500;

static MARK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("mark.lua")));
static WRITE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("write.lua")));

/// The highest versions that a batch can give its users, by partition.
pub type Marks = BTreeMap<i32, Vec<(String, u64)>>;

/// What one partition's script is to write.
struct Write {
    partition: i32,
    /// What `next` must say, and what it says then.
    start: String,
    end: String,
    /// Keys and `<version>\n<body>`.
    entries: Vec<(String, String)>,
}

type Written = Vec<(i32, String, RedisResult<(String, i64, String)>)>;

/// The cache as this projector knows it.
pub struct Cache {
    namespace: String,
    generation: i32,
    link: Link,
    /// The leases that may live.
    pub leases: Leases,
    /// Partitions that are not level, with what their `next` says.
    behind: HashMap<i32, String>,
    /// The nonces under which the others' caches began.
    beginnings: HashMap<i32, String>,
    /// How often rows were changed behind the checkpoint: a cache that has missed one such change begins anew.
    turns: HashMap<i32, i64>,
    /// The last batch's scripts; nobody waits for them but the next one.
    sent: Option<JoinHandle<Written>>,
    seen: Option<Seen>,
}

impl Cache {
    /// The cache of a generation; `link` connects by itself.
    pub fn new(topic_prefix: &str, generation: i32, link: Link) -> Self {
        Self {
            namespace: format!("rollcall:{topic_prefix}"),
            generation,
            link,
            leases: Leases::default(),
            behind: HashMap::new(),
            beginnings: HashMap::new(),
            turns: HashMap::new(),
            sent: None,
            seen: None,
        }
    }

    /// Another generation: its bodies have keys of their own.
    pub fn switch(&mut self, generation: i32) {
        self.generation = generation;
        self.behind.clear();
        self.beginnings.clear();
        self.turns.clear();
    }

    /// Partitions were taken over at these turns.
    pub fn taken_over(&mut self, turns: impl IntoIterator<Item = (i32, i64)>) {
        self.turns.extend(turns);
    }

    /// Places marks and reads the server's clock; `None` where they can't be known to be placed.
    pub async fn mark(&mut self, marks: &Marks) -> Option<Seen> {
        self.settle().await;
        let server = self.link.server()?;
        let nothing = BTreeMap::from([(0, Vec::new())]);
        let marks = if marks.is_empty() { &nothing } else { marks };
        let calls = marks.iter().map(|(partition, users)| self.mark_one(server.clone(), *partition, users));
        let mut seen = None;
        for answer in join_all(calls).await {
            match answer {
                Ok((millis, run)) if run == server.run => {
                    let earlier = seen.take().map_or(millis, |seen: Seen| seen.millis.min(millis));
                    seen = Some(Seen { run, millis: earlier, at: Instant::now() });
                }
                Ok(_) => return self.lost("another server answers than was connected to"),
                Err(error) => return self.lost(category(&error)),
            }
        }
        self.seen.clone_from(&seen);
        seen
    }

    async fn mark_one(
        &self,
        mut server: Server,
        p: i32,
        users: &[(String, u64)],
    ) -> RedisResult<(i64, String)> {
        let mut call = MARK.prepare_invoke();
        for (user, version) in users {
            call.key(self.key(p, user)).arg(format!("{version}\n"));
        }
        call.invoke_async(&mut server.connection).await
    }

    fn lost(&mut self, reason: &str) -> Option<Seen> {
        tracing::warn!(reason, "redis is lost; commits wait for the last lease, then go on without it");
        metrics::REDIS_FAILURES.inc();
        self.seen = None;
        self.link.reconnect();
        None
    }

    /// Sends a committed batch's bodies and leases; `seen` is a time from before the commit. Nobody waits for it.
    pub fn write(&mut self, effects: Effects, seen: Option<&Seen>) {
        let mut writes: BTreeMap<i32, Write> = effects
            .spans
            .iter()
            .filter(|((topic, partition), _)| *topic == Topic::Users && !self.behind.contains_key(partition))
            .map(|((_, partition), span)| (*partition, self.empty(*partition, *span)))
            .collect();
        for row in effects.users {
            if let Some(write) = writes.get_mut(&row.at.0) {
                write.entries.push((user_key(&row.key), format!("{}\n{}", row.version, row.body)));
            }
        }
        for row in effects.tombstones {
            if let Some(write) = writes.get_mut(&row.at.0) {
                write.entries.push((user_key(&row.key), format!("{}\n", row.version)));
            }
        }
        self.send(writes.into_values().collect(), seen);
    }

    /// Sends what was changed behind the checkpoint of a partition that stands at `at`, as the partition's next turn.
    pub fn write_behind(&mut self, effects: Effects, partition: i32, at: i64, seen: Option<&Seen>) {
        let start = self.empty(partition, Span { from: at, next: at, time: None }).start;
        *self.turns.entry(partition).or_default() += 1;
        if self.behind.contains_key(&partition) {
            return;
        }
        let end = self.empty(partition, Span { from: at, next: at, time: None }).end;
        let users =
            effects.users.iter().map(|row| (user_key(&row.key), format!("{}\n{}", row.version, row.body)));
        let gone = effects.tombstones.iter().map(|row| (user_key(&row.key), format!("{}\n", row.version)));
        let entries = users.chain(gone).collect();
        self.send(vec![Write { partition, start, end, entries }], seen);
    }

    /// Renews the leases of partitions that stand at these offsets; finds out which are behind.
    pub async fn renew(&mut self, positions: &BTreeMap<i32, i64>, seen: Option<&Seen>) {
        self.settle().await;
        let level = positions.iter().filter(|(partition, _)| !self.behind.contains_key(partition));
        let span = |at: i64| Span { from: at, next: at, time: None };
        let writes = level.map(|(partition, at)| self.empty(*partition, span(*at))).collect();
        self.send(writes, seen);
    }

    fn empty(&self, partition: i32, span: Span) -> Write {
        // A partition that was just taken over has no beginning that we know: nothing fits, and the answer says what is there.
        let beginning = self.beginnings.get(&partition).map_or("unknown", String::as_str);
        let at = |offset: i64| self.next(partition, beginning, offset);
        Write { partition, start: at(span.from), end: at(span.next), entries: Vec::new() }
    }

    fn send(&mut self, writes: Vec<Write>, seen: Option<&Seen>) {
        let Some(server) = self.link.server() else { return };
        if writes.is_empty() {
            return;
        }
        let seen =
            seen.filter(|seen| seen.run == server.run && self.leases.may_grant(&seen.run, Instant::now()));
        if let Some(seen) = seen {
            self.leases.granted(seen);
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
            service_kit::fault::point("fold.cached");
            written
        }));
    }

    fn call(
        &self,
        mut server: Server,
        write: Write,
        seen: Option<Seen>,
    ) -> impl Future<Output = (i32, String, RedisResult<(String, i64, String)>)> + use<> {
        let Write { partition, start, end, entries } = write;
        let mut call = WRITE.prepare_invoke();
        call.key(format!("{}{{{partition}}}:lease", self.namespace));
        call.key(format!("{}{{{partition}}}:next", self.namespace));
        call.arg(start).arg(&end);
        match &seen {
            Some(Seen { run, millis, .. }) => {
                let until = millis + i64::try_from(LENGTH.as_millis()).unwrap_or(0);
                call.arg(format!("{run}/{}", self.generation)).arg(until).arg(run)
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
        format!("{}{{{partition}}}:{}:{user}", self.namespace, self.generation)
    }

    /// Takes in what the scripts that were sent last have answered.
    async fn settle(&mut self) {
        let Some(sent) = self.sent.take() else { return };
        for (partition, end, answer) in sent.await.unwrap_or_default() {
            match answer {
                Ok((next, ..)) if next == end => {}
                Ok((next, ..)) => drop(self.behind.insert(partition, next)),
                Err(error) => {
                    self.lost(category(&error));
                    return;
                }
            }
        }
    }

    /// Whether there is something to write again, and a server to write it to.
    pub fn can_catch_up(&mut self) -> bool {
        !self.behind.is_empty() && self.link.server().is_some()
    }

    /// Writes one chunk of a partition that is behind again; `positions` says up to where the read model goes.
    pub async fn catch_up(&mut self, store: &Store, positions: &BTreeMap<i32, i64>) -> anyhow::Result<()> {
        self.settle().await;
        self.behind.retain(|partition, _| positions.contains_key(partition));
        let Some((&partition, found)) = self.behind.iter().next() else { return Ok(()) };
        let to = positions.get(&partition).copied().unwrap_or_default();
        let level =
            |(beginning, from)| Some((self.of_this_turn(partition, beginning)?, from)).filter(|_| from <= to);
        let Some((beginning, from)) = read_next(self.generation, found).and_then(level) else {
            let (start, nonce) = (found.clone(), Uuid::new_v4().simple().to_string());
            let end = self.next(partition, &nonce, 0);
            self.write_again(Write { partition, start, end, entries: Vec::new() }).await;
            return Ok(());
        };
        if from == to {
            self.beginnings.insert(partition, beginning.to_owned());
            self.behind.remove(&partition);
            return Ok(());
        }
        let rows = store.bodies(partition, from, to, CHUNK).await?;
        let is_last = i64::try_from(rows.len())? < CHUNK;
        let end = rows.last().filter(|_| !is_last).map_or(to, |row| row.offset + 1);
        let (start, end) = (found.clone(), self.next(partition, beginning, end));
        let entries = rows.into_iter().map(entry).collect();
        self.write_again(Write { partition, start, end, entries }).await;
        Ok(())
    }

    /// Writes without a lease, and keeps what `next` says then.
    async fn write_again(&mut self, write: Write) {
        let Some(server) = self.link.server() else { return };
        let partition = write.partition;
        match self.call(server, write, None).await.2 {
            Ok((next, ..)) => drop(self.behind.insert(partition, next)),
            Err(error) => drop(self.lost(category(&error))),
        }
    }

    fn next(&self, partition: i32, nonce: &str, offset: i64) -> String {
        format!("{}/{nonce}.{}/{offset}", self.generation, self.turn(partition))
    }

    fn turn(&self, partition: i32) -> i64 {
        self.turns.get(&partition).copied().unwrap_or_default()
    }

    /// The nonce of a beginning, if the cache has seen every turn.
    fn of_this_turn<'b>(&self, partition: i32, beginning: &'b str) -> Option<&'b str> {
        let (nonce, turn) = beginning.split_once('.')?;
        (turn.parse() == Ok(self.turn(partition))).then_some(nonce)
    }
}

/// Beginning and offset of a `next`, if it is of that generation.
pub(crate) fn read_next(generation: i32, next: &str) -> Option<(&str, i64)> {
    let mut parts = next.splitn(3, '/');
    (parts.next()?.parse() == Ok(generation)).then_some(())?;
    Some((parts.next()?, parts.next()?.parse().ok()?))
}

/// Marks as the cache takes them.
pub(crate) fn keys(marks: BTreeMap<i32, BTreeMap<&UserKey, u64>>) -> Marks {
    let of = |users: BTreeMap<&UserKey, u64>| {
        users.into_iter().map(|(key, version)| (user_key(key), version)).collect()
    };
    marks.into_iter().map(|(partition, users)| (partition, of(users))).collect()
}

/// A user as the cache's keys name it.
pub fn user_key(key: &UserKey) -> String {
    key.to_string()
}

fn entry(row: Cached) -> (String, String) {
    (row.key(), format!("{}\n{}", row.version, row.body.unwrap_or_default()))
}
