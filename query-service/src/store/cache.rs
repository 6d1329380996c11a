//! Reads users from Redis. Body and lease are fetched in one command, and the body counts only with
//! a lease of this very server.

use super::{live_generation::LiveGenerationWatch, redis_connection::RedisConnection};
use events_schema::UserKey;
use prometheus::{IntCounter, IntCounterVec, register_int_counter_vec};
use read_model::{
    cache::{CacheKeys, values},
    read::{generation::LiveGeneration, users::User},
};
use std::sync::LazyLock;

/// The result of a cache lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lookup {
    Hit,
    /// There is no body, or a mark in its place: PostgreSQL knows.
    Miss,
    /// There is no lease, or it is for another server or generation.
    Untrusted,
    /// There is no connection, or the live generation is not known yet.
    Unavailable,
}

/// One counter per result. Registration fails only if the name is taken; then nothing is counted.
static READS: LazyLock<Option<[IntCounter; 4]>> = LazyLock::new(|| {
    let name = "rollcall_cache_reads_total";
    let reads: IntCounterVec =
        register_int_counter_vec!(name, "Reads of one user by what the cache could do for them", &["result"])
            .ok()?;
    Some(["hit", "miss", "untrusted", "unavailable"].map(|result| reads.with_label_values(&[result])))
});

impl Lookup {
    fn count(self) {
        if let Some(reads) = READS.as_ref() {
            reads[self as usize].inc();
        }
    }
}

/// The cache as one worker reads it.
pub(super) struct Cache {
    keys: CacheKeys,
    live: LiveGenerationWatch,
    connection: RedisConnection,
}

impl Cache {
    pub(super) fn new(keys: CacheKeys, live: LiveGenerationWatch, connection: RedisConnection) -> Self {
        LazyLock::force(&READS);
        Self { keys, live, connection }
    }

    /// The user, if the cache has it and can be trusted.
    pub(super) async fn user(&self, key: &UserKey) -> Option<User> {
        let found = self.look_up(key).await;
        found.as_ref().map_or_else(|failed| *failed, |_| Lookup::Hit).count();
        found.ok()
    }

    async fn look_up(&self, key: &UserKey) -> Result<User, Lookup> {
        let live = self.live.live().ok_or(Lookup::Unavailable)?;
        let command = command(&self.keys, live, key);
        let reply = self.connection.body_and_lease(&command).await.ok_or(Lookup::Unavailable)?;
        let leased = reply.lease().and_then(|lease| values::parse_lease(lease, reply.run_id()));
        if leased.is_some_and(|leased| leased != live.id) {
            self.live.refresh();
        }
        if leased != Some(live.id) {
            return Err(Lookup::Untrusted);
        }
        let (version, body) = reply.into_body().and_then(values::parse_body).ok_or(Lookup::Miss)?;
        Ok(User { version, body })
    }
}

/// Fetches body and lease in one command, so that they are of the same moment.
fn command(keys: &CacheKeys, live: LiveGeneration, key: &UserKey) -> redis::Cmd {
    let partition = key.partition(live.partitions);
    let mut command = redis::cmd("MGET");
    command.arg(keys.body(partition, live.id, key)).arg(keys.lease(partition));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_partition_share_a_hash_tag() {
        let key: UserKey = "acme/0c3fad74-a8df-4a2d-8e75-f2d356b413ba".parse().unwrap();
        let live = LiveGeneration { id: 7, partitions: 1 };
        let command = command(&CacheKeys::new("dev."), live, &key).get_packed_command();
        let command = String::from_utf8(command).unwrap();
        assert!(command.contains("rollcall:dev.{0}:7:acme/0c3fad74-a8df-4a2d-8e75-f2d356b413ba\r\n"));
        assert!(command.contains("rollcall:dev.{0}:lease\r\n"));
    }
}
