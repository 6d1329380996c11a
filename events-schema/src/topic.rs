//! The topics that are folded into the read model, and their partitions.

use serde::Serialize;
use std::fmt;

/// A topic that is folded into the read model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// `users.events`
    Users,
    /// `users.credentials`
    Credentials,
}

impl Topic {
    /// Both topics.
    pub const ALL: [Self; 2] = [Self::Users, Self::Credentials];

    /// The name that the read model stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Credentials => "credentials",
        }
    }

    /// The topic that the read model stores under this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == name)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A partition of one of the folded topics.
pub type Partition = (Topic, i32);

/// A record's place in the log: its partition and its offset.
pub type Place = (Partition, i64);
