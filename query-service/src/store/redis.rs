//! Users in Redis: the body and the lease in one question, and the body only under the lease of this very server.

use super::{
    User,
    layout::{Generation, Layout},
    link::Link,
};
use bytes::Bytes;
use events_schema::UserKey;
use prometheus::{IntCounter, IntCounterVec, register_int_counter_vec};
use std::sync::LazyLock;

/// How a look into the cache ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Hit,
    /// No body, or a mark in its place: Postgres knows.
    Miss,
    /// No lease, or that of another server or generation.
    Untrusted,
    /// No connection, or not yet known what to ask for.
    Unavailable,
}

/// Counters, one per outcome. Registering fails only where the name is taken; then nothing is counted, and nothing else suffers.
static READS: LazyLock<Option<[IntCounter; 4]>> = LazyLock::new(|| {
    let name = "rollcall_cache_reads_total";
    let reads: IntCounterVec =
        register_int_counter_vec!(name, "Reads of one user by what the cache could do for them", &["result"])
            .ok()?;
    Some(["hit", "miss", "untrusted", "unavailable"].map(|result| reads.with_label_values(&[result])))
});

impl Outcome {
    fn count(self) {
        if let Some(reads) = READS.as_ref() {
            reads[self as usize].inc();
        }
    }
}

/// What one worker reads of Redis.
pub(super) struct Cache {
    /// Before every key.
    namespace: String,
    layout: Layout,
    link: Link,
}

impl Cache {
    pub(super) fn new(namespace: String, layout: Layout, link: Link) -> Self {
        LazyLock::force(&READS);
        Self { namespace, layout, link }
    }

    /// The user, if the cache has it and can be trusted.
    pub(super) async fn user(&self, key: &UserKey) -> Option<User> {
        let found = self.look(key).await;
        found.as_ref().map_or_else(|outcome| *outcome, |_| Outcome::Hit).count();
        found.ok()
    }

    async fn look(&self, key: &UserKey) -> Result<User, Outcome> {
        let live = self.layout.live().ok_or(Outcome::Unavailable)?;
        let reply = self.link.ask(&question(&self.namespace, live, key)).await.ok_or(Outcome::Unavailable)?;
        let leased = reply.lease().and_then(|lease| generation(lease, reply.run()));
        if leased.is_some_and(|leased| leased != live.id) {
            self.layout.doubt();
        }
        if leased != Some(live.id) {
            return Err(Outcome::Untrusted);
        }
        reply.into_body().and_then(user).ok_or(Outcome::Miss)
    }
}

/// Body and lease in one question, so that they are of one moment.
fn question(namespace: &str, live: Generation, key: &UserKey) -> redis::Cmd {
    let partition = key.partition(live.partitions);
    let mut question = redis::cmd("MGET");
    question
        .arg(format!("{namespace}{{{partition}}}:{}:{key}", live.id))
        .arg(format!("{namespace}{{{partition}}}:lease"));
    question
}

/// The generation that a lease is for, if it is a lease on the server of that run.
fn generation(lease: &[u8], run: &str) -> Option<i32> {
    let generation = lease.strip_prefix(run.as_bytes())?.strip_prefix(b"/")?;
    std::str::from_utf8(generation).ok()?.parse().ok()
}

/// Takes `<version>\n<body>` apart; `None`: a mark, which has no body.
fn user(value: Vec<u8>) -> Option<User> {
    let end = value.iter().position(|byte| *byte == b'\n')?;
    let version = std::str::from_utf8(&value[..end]).ok()?.parse().ok()?;
    let body = Bytes::from(value).slice(end + 1..);
    (!body.is_empty()).then_some(User { version, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_only_on_its_own_server() {
        assert_eq!(generation(b"abc/7", "abc"), Some(7));
        for lease in [&b""[..], b"abc", b"abc/", b"abd/7", b"abcd/7", b"abc/x", b"ab/7", b"abc/7/7"] {
            assert_eq!(generation(lease, "abc"), None);
        }
    }

    #[test]
    fn a_mark_is_no_user() {
        let body = Bytes::from_static(b"{\"id\":\"a\"}");
        assert_eq!(user(b"3\n{\"id\":\"a\"}".to_vec()), Some(User { version: 3, body }));
        for value in ["", "3", "3\n", "\n{}", "x\n{}"] {
            assert_eq!(user(value.into()), None, "{value}");
        }
    }

    #[test]
    fn keys_of_one_partition_share_a_hash_tag() {
        let key: UserKey = "acme/0c3fad74-a8df-4a2d-8e75-f2d356b413ba".parse().unwrap();
        let asked = question("rollcall:dev.", Generation { id: 7, partitions: 1 }, &key).get_packed_command();
        let asked = String::from_utf8(asked).unwrap();
        assert!(asked.contains("rollcall:dev.{0}:7:acme/0c3fad74-a8df-4a2d-8e75-f2d356b413ba\r\n"));
        assert!(asked.contains("rollcall:dev.{0}:lease\r\n"));
    }
}
