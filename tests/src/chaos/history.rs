//! The history of a run: each request with its answer and the times of both.

use super::load::Targets;
use std::{fmt, time::Instant};

/// A position in the log: partition and offset.
pub type Position = (i32, i64);

/// The operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `POST /users`
    Create,
    /// `PUT /users/{id}`
    Update,
    /// `DELETE /users/{id}`
    Delete,
    /// `GET /users/{id}`
    Get,
    /// `GET /users`
    List,
    /// `POST /users/search`
    Search,
    /// `GET /users/{id}/credentials`
    Credentials,
}

impl Kind {
    /// Whether the command service serves it.
    pub fn is_write(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Delete)
    }
}

/// A request and its answer.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Its `X-Request-Id`, which is also in its event.
    pub request: String,
    /// The operation.
    pub kind: Kind,
    /// The instance that got it.
    pub instance: String,
    /// The user. A create learns it from the answer.
    pub user: Option<String>,
    /// The unique number in the claims that it writes. For a search, the number that the user was
    /// created with.
    pub n: Option<u64>,
    /// The version in `If-Match`.
    pub if_match: Option<u64>,
    /// The `Idempotency-Key`.
    pub key: Option<String>,
    /// The position in `Read-After`.
    pub read_after: Option<Position>,
    /// The user before the first one of a list's page.
    pub after: Option<String>,
    /// A time before it was sent.
    pub sent: Instant,
    /// When the answer was complete, or waiting for it ended.
    pub answered: Instant,
    /// The answer. `None` if the connection broke or timed out.
    pub reply: Option<Reply>,
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The version in `ETag`.
    pub version: Option<u64>,
    /// `Log-Position`.
    pub position: Option<Position>,
    /// The users in the body, with the numbers in their claims.
    pub shown: Vec<(String, u64)>,
    /// Whether the page is the last one.
    pub is_last: bool,
    /// The message of an error.
    pub message: Option<String>,
    /// Whether it has `Retry-After`.
    pub has_retry_after: bool,
}

impl Operation {
    /// The status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        self.reply.as_ref().map(|reply| reply.status)
    }

    /// Whether the answer has this status.
    pub fn was(&self, kind: Kind, status: u16) -> bool {
        self.kind == kind && self.status() == Some(status)
    }

    /// The answer, if it says that the write's own event took effect. A create answered with 200
    /// was a repeated one.
    pub fn applied(&self) -> Option<&Reply> {
        let status = match self.kind {
            Kind::Create => 201,
            Kind::Update => 200,
            Kind::Delete => 204,
            Kind::Get | Kind::List | Kind::Search | Kind::Credentials => return None,
        };
        self.reply.as_ref().filter(|reply| reply.status == status)
    }

    /// Whether the client does not know the outcome of the write: there is no answer, or it says
    /// so.
    pub fn is_ambiguous(&self) -> bool {
        const AMBIGUOUS: &str = "may still take effect";
        match &self.reply {
            None => true,
            Some(Reply { status: 503, message: Some(words), .. }) => words.contains(AMBIGUOUS),
            Some(_) => false,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.request)?;
        match self.status() {
            Some(status) => write!(f, " (answered {status})"),
            None => write!(f, " (no answer)"),
        }
    }
}

/// The history of a run.
#[derive(Debug)]
pub struct History {
    /// The target of the clients.
    pub targets: Targets,
    /// The requests, in any order.
    pub operations: Vec<Operation>,
    /// The processes that answered when the run started.
    pub began: Vec<Option<Identity>>,
}

/// Identifies a process: its address and start time.
pub type Identity = (String, String);
