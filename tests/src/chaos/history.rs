//! What the clients of a run saw: each request, when it was sent, and when and what it was answered.

use super::load::Targets;
use std::{fmt, time::Instant};

/// A place in the log, as `Log-Position` names it: partition and offset.
pub type Position = (i32, i64);

/// The six operations and create.
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
    /// Whether it is served by the command service.
    pub fn is_write(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Delete)
    }
}

/// A request and what came of it.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Its `X-Request-Id`, by which an answer is matched with its event.
    pub request: String,
    /// What it does.
    pub kind: Kind,
    /// The instance that it was sent to.
    pub instance: String,
    /// The user that it names; a create learns it from the answer.
    pub user: Option<String>,
    /// The number in the claims that it writes: no other body has it. Of a search, the number that the user was created with.
    pub n: Option<u64>,
    /// The version that `If-Match` names.
    pub if_match: Option<u64>,
    /// The `Idempotency-Key`.
    pub key: Option<String>,
    /// The position that `Read-After` names.
    pub read_after: Option<Position>,
    /// The user after which a list's page begins.
    pub after: Option<String>,
    /// When it was sent, at the earliest.
    pub sent: Instant,
    /// When its answer was here, or was given up.
    pub answered: Instant,
    /// The answer; none: the connection broke, or nothing came in time.
    pub reply: Option<Reply>,
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The version that `ETag` names.
    pub version: Option<u64>,
    /// `Log-Position`.
    pub position: Option<Position>,
    /// The users in the body, each with the number in its claims.
    pub shown: Vec<(String, u64)>,
    /// Whether the page is the last one.
    pub is_last: bool,
    /// The words of a problem.
    pub message: Option<String>,
    /// Whether it says when to come again.
    pub has_retry_after: bool,
}

impl Operation {
    /// The status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        self.reply.as_ref().map(|reply| reply.status)
    }

    /// Whether it was answered like that.
    pub fn was(&self, kind: Kind, status: u16) -> bool {
        self.kind == kind && self.status() == Some(status)
    }

    /// The answer, if it says that the write has had its effect, its own event's. A create that is answered 200 was made before.
    pub fn applied(&self) -> Option<&Reply> {
        let status = match self.kind {
            Kind::Create => 201,
            Kind::Update => 200,
            Kind::Delete => 204,
            Kind::Get | Kind::List | Kind::Search | Kind::Credentials => return None,
        };
        self.reply.as_ref().filter(|reply| reply.status == status)
    }

    /// Whether the client can't know what became of the write: no answer, or one that says so.
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

/// Everything that the clients of a run saw.
#[derive(Debug)]
pub struct History {
    /// Whom they spoke to, and as whom.
    pub targets: Targets,
    /// In no order.
    pub operations: Vec<Operation>,
    /// The processes that answered at the addresses when the run began.
    pub began: Vec<Option<Identity>>,
}

/// What tells a process from the one before it at the same address: the address, and when the process was started.
pub type Identity = (String, String);
