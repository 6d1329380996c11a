//! What is found where nothing should be.

use std::{collections::BTreeMap, fmt};

/// Places that are named for each kind, at most; all are counted.
const NAMED: usize = 20;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A row of the read model with what the user says of themselves.
    UserRow,
    /// Rows of credentials.
    Credentials,
    /// Records that could not be folded, and those that wait behind them.
    DeadLetters,
    /// The user's data key in the key store.
    Key,
    /// Events that a key opens which exists, or whose key exists.
    OpenedEvents,
    /// Events that were never sealed.
    PlainEvents,
    /// Records of which nobody can tell whether they are sealed.
    UnclearRecords,
    /// Events that the read model has not folded yet.
    UnfoldedEvents,
    /// Events of a user of whom neither a row nor a tombstone is there.
    NoTombstone,
    /// A step of the erasure that is still to be done.
    PendingSteps,
    /// The key may still be in a process' memory.
    KeyInMemory,
    /// A ready response body in Redis.
    CachedBodies,
    /// Analytic events that say more than ids.
    AnalyticEvents,
    /// A living user whose key is not there.
    MissingKey,
}

impl Kind {
    /// In words, for several of them.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::UserRow => "rows of the user in the read model",
            Self::Credentials => "rows of the user's credentials in the read model",
            Self::DeadLetters => "dead letters with a record of the user",
            Self::Key => "data keys of the user in the key store",
            Self::OpenedEvents => "events in the log that a key opens which exists",
            Self::PlainEvents => "events in the log that were never sealed",
            Self::UnclearRecords => {
                "records in the log that can't be read, so that nobody can tell what they say"
            }
            Self::UnfoldedEvents => "events in the log that the read model has not folded yet",
            Self::NoTombstone => "events in the log, and no tombstone that says that the user was deleted",
            Self::PendingSteps => "steps of the erasure that are not done yet",
            Self::KeyInMemory => "keys that may still be in a process' memory",
            Self::CachedBodies => "bodies of the user in Redis",
            Self::AnalyticEvents => "analytic events that say more than ids",
            Self::MissingKey => "living users whose key is missing: nobody can read their events any more",
        }
    }

    /// What an operator can do about them.
    #[must_use]
    pub fn way_out(self) -> Option<&'static str> {
        match self {
            Self::UnclearRecords => Some(
                "look at each in the log; `rollcall dead-letters discard TOPIC:PARTITION:OFFSET...` says that it is dealt with",
            ),
            Self::DeadLetters => Some("see `rollcall dead-letters list`, and retry or discard them"),
            Self::UnfoldedEvents => Some("wait until they are folded: see `rollcall projection status`"),
            Self::PendingSteps => {
                Some("the projectors work them off: their /health/ready says what is missing")
            }
            Self::MissingKey => Some("restore the key store"),
            Self::UserRow
            | Self::Credentials
            | Self::Key
            | Self::OpenedEvents
            | Self::PlainEvents
            | Self::NoTombstone
            | Self::KeyInMemory
            | Self::CachedBodies
            | Self::AnalyticEvents => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.in_words())
    }
}

/// Things of one kind that were found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// What they are.
    pub kind: Kind,
    /// How many there are.
    pub count: u64,
    /// Where the first of them are, in words that hold nothing personal.
    pub places: Vec<String>,
    /// What an operator can do about them.
    #[serde(rename = "wayOut")]
    pub way_out: Option<&'static str>,
}

/// What is found, while it is looked for.
#[derive(Debug, Default)]
pub(super) struct Findings(BTreeMap<Kind, Finding>);

impl Findings {
    /// One more, there.
    pub(super) fn add(&mut self, kind: Kind, place: impl fmt::Display) {
        self.add_many(kind, 1, place);
    }

    /// Several at one place; none are nothing.
    pub(super) fn add_many(&mut self, kind: Kind, count: u64, place: impl fmt::Display) {
        if count == 0 {
            return;
        }
        let found = self.0.entry(kind).or_insert(Finding {
            kind,
            count: 0,
            places: Vec::new(),
            way_out: kind.way_out(),
        });
        found.count += count;
        if found.places.len() < NAMED {
            found.places.push(place.to_string());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_vec(self) -> Vec<Finding> {
        self.0.into_values().collect()
    }
}
