//! Why nothing proves whether a key is needed.

use std::{fmt, str::FromStr};

/// Why a key is undecided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UndecidedReason {
    /// It was made before keys recorded their origin.
    UnknownOrigin,
    /// It was made for another log of this deployment.
    OtherLog,
    /// It was made for another deployment.
    OtherDeployment,
    /// The user was deleted in the present log, but nothing proves that the key was made for it.
    DeletedHere,
    /// The live generation does not know its owner, but something else names the owner.
    KnownElsewhere,
    /// The beginning of the log is lost, and may have named the owner.
    LogCut,
    /// The live generation has not folded the log to its end.
    NotLevel,
    /// It was requested recently: its create may still be on its way.
    Young,
}

impl UndecidedReason {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::UnknownOrigin,
        Self::OtherLog,
        Self::OtherDeployment,
        Self::DeletedHere,
        Self::KnownElsewhere,
        Self::LogCut,
        Self::NotLevel,
        Self::Young,
    ];

    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownOrigin => "unknown-origin",
            Self::OtherLog => "other-log",
            Self::OtherDeployment => "other-deployment",
            Self::DeletedHere => "deleted-here",
            Self::KnownElsewhere => "known-elsewhere",
            Self::LogCut => "log-cut",
            Self::NotLevel => "not-level",
            Self::Young => "young",
        }
    }

    /// A description for people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::UnknownOrigin => "made before keys recorded their log",
            Self::OtherLog => "made for another log of this deployment",
            Self::OtherDeployment => "made for another deployment",
            Self::DeletedHere => "the user was deleted in this log, but the key may be of another one",
            Self::KnownElsewhere => "another generation, a dead letter or a discarded record names the user",
            Self::LogCut => "the beginning of the log is lost, and may have named the user",
            Self::NotLevel => "the live generation has not folded the log to its end",
            Self::Young => "requested recently: the create may still be on its way",
        }
    }

    /// Whether the reason goes away by itself.
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::Young | Self::NotLevel)
    }
}

impl fmt::Display for UndecidedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for UndecidedReason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lasting = || Self::ALL.into_iter().filter(|reason| !reason.is_temporary());
        lasting().find(|reason| reason.code() == text).ok_or_else(|| {
            let codes: Vec<_> = lasting().map(Self::code).collect();
            format!("expected one of {}", codes.join(", "))
        })
    }
}
