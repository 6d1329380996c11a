//! The names of the cache's keys.

use events_schema::UserKey;
use std::fmt::Display;

/// The keys of one deployment.
#[derive(Debug, Clone)]
pub struct CacheKeys {
    /// The prefix of every key.
    namespace: String,
}

impl CacheKeys {
    /// The keys of the deployment with that topic prefix.
    pub fn new(topic_prefix: &str) -> Self {
        Self { namespace: format!("rollcall:{topic_prefix}") }
    }

    /// The key of a user's body. `user` is `<tenant>/<user>`, as a [`UserKey`] prints it.
    pub fn body(&self, partition: impl Display, generation: i32, user: impl Display) -> String {
        format!("{}{{{partition}}}:{generation}:{user}", self.namespace)
    }

    /// The key of a partition's lease.
    pub fn lease(&self, partition: impl Display) -> String {
        format!("{}{{{partition}}}:lease", self.namespace)
    }

    /// The key with the position up to which the cache holds a partition.
    pub fn next(&self, partition: impl Display) -> String {
        format!("{}{{{partition}}}:next", self.namespace)
    }

    /// The key that a health check writes.
    pub fn health(&self) -> String {
        format!("{}health", self.namespace)
    }

    /// The pattern that all bodies match. A topic prefix contains no characters with a meaning in
    /// patterns.
    pub fn bodies_pattern(&self) -> String {
        format!("{}{{*}}:*:*", self.namespace)
    }

    /// The user and the generation of a body's key. `None` if the key is not that of a body of this
    /// deployment.
    pub fn user_of(&self, key: &[u8]) -> Option<(UserKey, String)> {
        let key = std::str::from_utf8(key).ok()?.strip_prefix(&self.namespace)?.strip_prefix('{')?;
        let (partition, rest) = key.split_once("}:")?;
        let (generation, user) = rest.split_once(':')?;
        partition.parse::<u32>().ok()?;
        Some((user.parse().ok()?, generation.to_owned()))
    }
}

/// The generation of a body's key. `None` for the other keys.
pub fn generation_of(key: &[u8]) -> Option<i32> {
    let (_, rest) = std::str::from_utf8(key).ok()?.split_once("}:")?;
    rest.split_once(':')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "a.b/0c3fad74-a8df-4a2d-8e75-f2d356b413ba";

    #[test]
    fn keys_of_one_partition_share_a_hash_tag() {
        let keys = CacheKeys::new("dev.");
        assert_eq!(keys.body(0, 7, USER), format!("rollcall:dev.{{0}}:7:{USER}"));
        assert_eq!(keys.lease(0), "rollcall:dev.{0}:lease");
        assert_eq!(keys.next(0), "rollcall:dev.{0}:next");
        assert_eq!(keys.health(), "rollcall:dev.health");
        assert_eq!(keys.bodies_pattern(), "rollcall:dev.{*}:*:*");
    }

    #[test]
    fn a_key_says_whose_it_is() {
        let user_of = |key: &str| {
            CacheKeys::new("dev.")
                .user_of(key.as_bytes())
                .map(|(user, generation)| (user.to_string(), generation))
        };
        assert_eq!(
            user_of(&format!("rollcall:dev.{{11}}:3:{USER}")),
            Some((USER.to_owned(), "3".to_owned()))
        );
        for other in ["rollcall:dev.{0}:next", "rollcall:dev.{0}:lease", "rollcall:other.{0}:3:a/b", "x"] {
            assert_eq!(user_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_body_says_its_generation_and_nothing_else_does() {
        assert_eq!(generation_of(b"rollcall:dev.{3}:17:acme/0c3fad74"), Some(17));
        for other in [&b"rollcall:{3}:lease"[..], b"rollcall:{3}:next", b"rollcall:{3}:x:y", b"\xff"] {
            assert_eq!(generation_of(other), None);
        }
    }
}
