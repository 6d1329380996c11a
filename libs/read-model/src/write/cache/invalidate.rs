//! Invalidations: before a commit, the cached bodies of its users are replaced by the versions that
//! the commit can give them. Readers that find one ask PostgreSQL.

use super::{Cache, user_key};
use crate::{
    cache::values,
    redis_connection::{Server, category},
    write::lease::ServerTime,
};
use events_schema::UserKey;
use futures_util::future::join_all;
use redis::{RedisResult, Script};
use std::{collections::BTreeMap, sync::LazyLock, time::Instant};

static INVALIDATE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("invalidate.lua")));

/// Users whose bodies are to be invalidated, by partition, each with the highest version that a
/// batch can give it.
pub type VersionsToInvalidate = BTreeMap<i32, Vec<(String, u64)>>;

/// Whether the cached bodies of the users that a commit changes are invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidationStatus {
    /// Redis has confirmed it.
    Confirmed,
    /// Redis did not answer.
    Unconfirmed,
}

impl InvalidationStatus {
    /// The status after [`Cache::invalidate`] returned this time.
    pub fn of(cache_time: Option<&ServerTime>) -> Self {
        if cache_time.is_some() { Self::Confirmed } else { Self::Unconfirmed }
    }
}

impl Cache {
    /// Invalidates bodies. Returns the server's time if the server confirmed all invalidations.
    pub async fn invalidate(&mut self, users: &VersionsToInvalidate) -> Option<ServerTime> {
        self.invalidate_all(users, false).await
    }

    /// Invalidates the body of one user up to this version, which may be that of the cached body: a
    /// repair changes a body without a new version.
    pub async fn invalidate_same(
        &mut self,
        partition: i32,
        user: &UserKey,
        version: u64,
    ) -> Option<ServerTime> {
        let users = BTreeMap::from([(partition, vec![(user_key(user), version)])]);
        self.invalidate_all(&users, true).await
    }

    async fn invalidate_all(&mut self, users: &VersionsToInvalidate, is_same: bool) -> Option<ServerTime> {
        self.await_delivery().await;
        let server = self.redis.server()?;
        // A call without users still returns the server's time.
        let nobody = BTreeMap::from([(0, Vec::new())]);
        let users = if users.is_empty() { &nobody } else { users };
        let calls = users
            .iter()
            .map(|(partition, users)| self.invalidate_partition(server.clone(), *partition, users, is_same));
        let mut earliest = None;
        for reply in join_all(calls).await {
            match reply {
                Ok((millis, run)) if run == server.run => {
                    let earlier = earliest.take().map_or(millis, |time: ServerTime| time.millis.min(millis));
                    earliest = Some(ServerTime { run, millis: earlier, at: Instant::now() });
                }
                Ok(_) => {
                    self.reconnect("another server answers than the connected one");
                    return None;
                }
                Err(error) => {
                    self.reconnect(category(&error));
                    return None;
                }
            }
        }
        earliest
    }

    async fn invalidate_partition(
        &self,
        mut server: Server,
        partition: i32,
        users: &[(String, u64)],
        is_same: bool,
    ) -> RedisResult<(i64, String)> {
        let mut call = INVALIDATE.prepare_invoke();
        for (user, version) in users {
            call.key(self.key(partition, user)).arg(values::invalidation(version));
        }
        call.arg(if is_same { "same" } else { "" });
        call.invoke_async(&mut server.connection).await
    }
}

/// What to invalidate before a batch that can give its users these versions.
pub fn versions_to_invalidate(versions: BTreeMap<i32, BTreeMap<&UserKey, u64>>) -> VersionsToInvalidate {
    let by_key = |users: BTreeMap<&UserKey, u64>| {
        users.into_iter().map(|(key, version)| (user_key(key), version)).collect()
    };
    versions.into_iter().map(|(partition, users)| (partition, by_key(users))).collect()
}
