//! Findings: what was found where nothing should be.

use std::{collections::BTreeMap, fmt};

/// How many places are listed for each kind. All are counted.
pub const MAX_PLACES: usize = 20;

/// The kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A row of the read model with personal data of the user.
    UserRow,
    /// Postings, by which search finds the user.
    Postings,
    /// Rows of credentials.
    Credentials,
    /// Rows in personal tables of projections beside the users.
    ProjectionRows,
    /// Records that could not be folded, and those queued behind them.
    DeadLetters,
    /// The user's data key in the key store.
    Key,
    /// Events that an existing key can decrypt, or whose key exists.
    OpenedEvents,
    /// Events that were never sealed.
    PlainEvents,
    /// Records that can't be read, so that nobody knows whether they are sealed.
    UnclearRecords,
    /// Events that the read model has not folded yet.
    UnfoldedEvents,
    /// Events of a user with neither a row nor a tombstone.
    NoTombstone,
    /// A step of the erasure that is not done yet.
    PendingSteps,
    /// The key may still be in a process's memory.
    KeyInMemory,
    /// A body in Redis.
    CachedBodies,
    /// Analytic events with more than ids.
    AnalyticEvents,
    /// A living user whose key is missing.
    MissingKey,
    /// A living user without a key whom another generation knows as deleted.
    DeletedElsewhere,
}

impl Kind {
    /// A description for people, in the plural.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::UserRow => "rows of the user in the read model",
            Self::Postings => "search postings of the user in the read model",
            Self::Credentials => "rows of the user's credentials in the read model",
            Self::ProjectionRows => "rows of the user in personal tables of projections",
            Self::DeadLetters => "dead letters with a record of the user",
            Self::Key => "data keys of the user in the key store",
            Self::OpenedEvents => "log events that an existing key can still decrypt",
            Self::PlainEvents => "log events that were never sealed",
            Self::UnclearRecords => "log records that can't be read and may contain anything",
            Self::UnfoldedEvents => "log events that the read model has not folded yet",
            Self::NoTombstone => "log events of a user with neither a row nor a tombstone",
            Self::PendingSteps => "steps of the erasure that are not done yet",
            Self::KeyInMemory => "keys that may still be in a process's memory",
            Self::CachedBodies => "bodies of the user in Redis",
            Self::AnalyticEvents => "analytic events with more than ids",
            Self::MissingKey => "living users whose key is missing, so that nobody can read their events",
            Self::DeletedElsewhere => {
                "users whose deletion the present log lacks: another generation knows it"
            }
        }
    }

    /// What an operator can do about it.
    #[must_use]
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            Self::UnclearRecords => Some(
                "look at each record in the log; `rollcall dead-letters discard TOPIC:PARTITION:OFFSET...` records that it is dealt with",
            ),
            Self::DeadLetters => Some("see `rollcall dead-letters list`, and retry or discard them"),
            Self::UnfoldedEvents => Some("wait until `rollcall projection status` shows no lag"),
            Self::PendingSteps => {
                Some("wait: the projectors retry them, and their /health/ready says what is missing")
            }
            Self::MissingKey => {
                Some("if the user was deleted, delete it again; otherwise restore the key store")
            }
            Self::NoTombstone => Some(
                "if an operator has discarded these events, nothing more can be done: without a key nobody can decrypt them. Otherwise \
                 `rollcall projection repair` folds the user again",
            ),
            Self::DeletedElsewhere => Some(
                "do not restore their keys: delete each user again, or discard its events if they wait among the dead letters",
            ),
            Self::UserRow
            | Self::Postings
            | Self::Credentials
            | Self::ProjectionRows
            | Self::Key
            | Self::OpenedEvents
            | Self::PlainEvents
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

/// All findings of one kind.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Their kind.
    pub kind: Kind,
    /// How many there are.
    pub count: u64,
    /// Where the first of them are. Contains no personal data.
    pub places: Vec<String>,
    /// What an operator can do about them.
    #[serde(rename = "wayOut")]
    pub remedy: Option<&'static str>,
}

/// Collects findings.
#[derive(Debug, Default)]
pub(super) struct Findings(BTreeMap<Kind, Finding>);

impl Findings {
    /// Adds one finding.
    pub(super) fn add(&mut self, kind: Kind, place: impl fmt::Display) {
        self.add_many(kind, 1, place);
    }

    /// Adds several findings at one place. Does nothing for a count of 0.
    pub(super) fn add_many(&mut self, kind: Kind, count: u64, place: impl fmt::Display) {
        if count == 0 {
            return;
        }
        let found = self.0.entry(kind).or_insert(Finding {
            kind,
            count: 0,
            places: Vec::new(),
            remedy: kind.remedy(),
        });
        found.count += count;
        if found.places.len() < MAX_PLACES {
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
