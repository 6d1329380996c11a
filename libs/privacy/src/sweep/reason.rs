//! Why it can't be told whether a key is needed.

use std::{fmt, str::FromStr};

/// Why a key is neither needed for certain nor destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UndecidedReason {
    /// It is older than keys say what they were made for.
    UnknownOrigin,
    /// It was made for another log of this deployment.
    OtherLog,
    /// It was made for another deployment.
    OtherDeployment,
    /// The user is deleted in the present log, but the key was not provably made for it.
    DeletedHere,
    /// The live generation does not know its owner, but something else does.
    KnownElsewhere,
    /// The log has lost its beginning, where the owner may have been.
    LogCut,
    /// The live generation has not folded the log to its end.
    NotLevel,
    /// Its create may still be on its way.
    Young,
}

impl UndecidedReason {
    /// All of them.
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

    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::UnknownOrigin => "made before keys said which log they belong to",
            Self::OtherLog => "made for another log of this deployment",
            Self::OtherDeployment => "made for another deployment",
            Self::DeletedHere => "the user is deleted in this log, but the key was not provably made for it",
            Self::KnownElsewhere => "another generation, a dead letter or a discarded record names the user",
            Self::LogCut => "the log has lost its beginning, where the user may have been",
            Self::NotLevel => "the live generation has not folded the log to its end",
            Self::Young => "asked for lately: the create may still be on its way",
        }
    }

    /// Whether time alone decides it.
    pub fn passes(self) -> bool {
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
        let lasting = || Self::ALL.into_iter().filter(|reason| !reason.passes());
        lasting().find(|reason| reason.code() == text).ok_or_else(|| {
            let codes: Vec<_> = lasting().map(Self::code).collect();
            format!("one of {}", codes.join(", "))
        })
    }
}
