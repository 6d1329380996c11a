//! How operators name dead letters.

use events_schema::{Place, TenantId, Topic};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A dead letter's id, `<topic>:<partition>:<offset>`: its place in the log, which is the same in
/// every generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterId {
    pub(crate) topic: Topic,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

impl LetterId {
    /// The record's place in the log.
    pub(crate) fn place(&self) -> Place {
        ((self.topic, self.partition), self.offset)
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.topic, self.partition, self.offset)
    }
}

impl FromStr for LetterId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let mut parts = text.splitn(3, ':');
            let topic = Topic::named(parts.next()?)?;
            Some(Self { topic, partition: parts.next()?.parse().ok()?, offset: parts.next()?.parse().ok()? })
        };
        read().ok_or("is not the id of a dead letter, which looks like users:3:17")
    }
}

/// Selects the dead letters of a user.
#[derive(Debug, Clone)]
pub struct UserFilter {
    /// The tenant, if it is known.
    pub tenant: Option<TenantId>,
    /// The user.
    pub user: Uuid,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_place_in_the_log() {
        let id: LetterId = "credentials:3:17".parse().unwrap();
        assert_eq!(id.to_string(), "credentials:3:17");
        for bad in ["", "users", "users:3", "users:3:x", "others:3:17", "users:3:17:1", "17"] {
            assert!(bad.parse::<LetterId>().is_err(), "{bad}");
        }
    }
}
